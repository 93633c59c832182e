# SPDX-License-Identifier: Apache-2.0
"""A browser as an actor: a page of ours is served from its own origin, runs
its script, and reports what came of it."""
import http.server
import json
import os
import queue
import shutil
import subprocess
import threading

from harness import PATIENCE, Failure, Skip, need

FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
         '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync',
         '--disable-dev-shm-usage')

PAGE = '''<!doctype html><meta charset="utf-8"><title>test</title><script>
const url = %s, token = %s;
const report = (x) => fetch('/report', {method: 'POST',
                                        body: JSON.stringify(x)});
const run = async () => { %s };
run().then(report, (e) => report({failed: String(e && e.message || e)}));
</script>'''


class PageServer:
    """Serves one page on localhost and takes its report."""

    def __init__(self, scene):
        self.reports = queue.Queue()
        self.page = ''
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer(outer.page if self.path == '/' else '')

            def do_POST(self):
                n = int(self.headers['Content-Length'])
                outer.reports.put(json.loads(self.rfile.read(n)))
                self.answer('')

            def answer(self, text):
                data = text.encode()
                self.send_response(200)
                self.send_header('Content-Type', 'text/html; charset=utf-8')
                self.send_header('Content-Length', str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0),
                                                      Handler)
        self.server.daemon_threads = True
        self.origin = f'http://localhost:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever,
                         daemon=True).start()
        scene.actors.append(self)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def chromium(scene):
    for name in ('chromium', 'chromium-browser', 'google-chrome'):
        if shutil.which(name):
            return shutil.which(name)
    raise Skip('chromium is not installed (package chromium)')


def trusting_home(scene):
    """A home directory whose NSS database trusts the scene's authority."""
    home = scene.path('home')
    database = os.path.join(home, '.pki', 'nssdb')
    if not os.path.exists(database):
        certutil = need('certutil', 'libnss3-tools')
        os.makedirs(database)
        for args in (['-N', '--empty-password'],
                     ['-A', '-t', 'C,,', '-n', 'test', '-i', scene.pki.ca]):
            subprocess.run([certutil, '-d', 'sql:' + database, *args],
                           check=True, capture_output=True)
    return home


def run_page(scene, pages, url, script, token=''):
    """What the script returned, in a browser with a fresh profile."""
    pages.page = PAGE % (json.dumps(url), json.dumps(token), script)
    home = trusting_home(scene)
    log = open(scene.path('chromium.log'), 'ab')
    browser = scene.spawn(
        chromium(scene), *FLAGS, '--user-data-dir=' +
        os.path.join(home, f'profile-{len(scene.actors)}'),
        pages.origin + '/', env=dict(os.environ, HOME=home),
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True)
    log.close()
    try:
        got = pages.reports.get(timeout=PATIENCE)
    except queue.Empty:
        with open(scene.path('chromium.log'), errors='replace') as f:
            raise Failure('the page reported nothing:\n' + f.read()[-2000:])
    finally:
        os.killpg(browser.pid, 9)
        browser.wait()
    if isinstance(got, dict) and 'failed' in got:
        raise Failure('in the browser: ' + got['failed'])
    return got
