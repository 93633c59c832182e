#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""status-prometheus in the real daemon: its figures are true, its text is what
Prometheus reads, and nothing that a scraper does disturbs the daemon."""
import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (Closed, Device, Failure, Follower, Skip,  # noqa: E402
                     check, connect, equal, main, ports, wait_until)
from control import Control, Problem  # noqa: E402
import promtext  # noqa: E402

SECTION = 'plugin.prometheus'


def start(scene, options=None, conf=None, launch=True):
    d = scene.daemon(conf={SECTION: {
        'module': 'status-prometheus', 'address': '127.0.0.1:0',
        **(options or {})}, **(conf or {})})
    for endpoint in ('live', 'a', 'b', 'c'):
        d.token(endpoint)
    if launch:
        d.start()
        d.metrics = metrics_address(d)
        d.live = Device(d, 'live')
    return d


def metrics_address(d):
    for line in d.log:
        m = re.search(r'metrics at http://127\.0\.0\.1:(\d+)(\S+)', line)
        if m:
            return int(m.group(1)), m.group(2)
    raise AssertionError('no line about the metrics')


def scrape_text(d, timeout=30):
    port, path = d.metrics
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=timeout)
    c.request('GET', path)
    r = c.getresponse()
    equal(r.status, 200)
    equal(r.getheader('Content-Type'),
          'text/plain; version=0.0.4; charset=utf-8')
    body = r.read().decode()
    c.close()
    return body


def scrape(d):
    return promtext.parse(scrape_text(d))


def one(figures, name, **labels):
    return figures[name][tuple(sorted(labels.items()))]


def finish(d):
    equal(d.live.call('state', {'power': 'on'}), {}, 'the live channel')
    d.live.close()
    d.stop()


def test_checker_finds_planted(scene):
    """the checker of the text format finds each planted violation"""
    equal(promtext.prove(), [], 'not found')


def test_promtool(scene):
    """promtool check metrics finds nothing wrong"""
    tool = os.environ.get('CLEAT_PROMTOOL') or shutil.which('promtool')
    if not tool:
        raise Skip('promtool is not there and could not be fetched, or '
                   './check may not; set CLEAT_PROMTOOL')
    d = start(scene)
    done = subprocess.run([tool, 'check', 'metrics'], text=True,
                          input=scrape_text(d), capture_output=True,
                          check=False)
    equal((done.returncode, done.stdout, done.stderr), (0, '', ''))
    finish(d)


def test_figures_are_true(scene):
    """figures are what devices did, and the same as the daemon's own log has"""
    d = start(scene, conf={'listener.plain': {'address': '127.0.0.1:0',
                                              'tls': 'no'}})
    devices = [Device(d, 'a'), Device(d, 'b'),
               Device(d, 'c', listener='plain', tls=False)]
    try:
        Device(d, 'a', token='wrong' * 8)
    except Exception:
        pass
    devices[1].call('bye', {'reason': 'enough'})
    devices[1].expect_close()
    wait_until('the goodbye', lambda: one(
        scrape(d), 'cleat_endpoints', state='offline') == 1)
    f = scrape(d)
    equal(one(f, 'cleat_endpoints', state='online'), 3)
    equal(one(f, 'cleat_endpoints_connected', security='wss'), 2)
    equal(one(f, 'cleat_endpoints_connected', security='ws'), 1)
    equal(one(f, 'cleat_authentications_total', result='accepted'), 4)
    equal(one(f, 'cleat_authentications_total', result='refused'), 1)
    equal(one(f, 'cleat_channels_opened_total'), 5)
    equal(sum(f['cleat_worker_channels'].values()), one(f, 'cleat_channels'))
    equal(len(f['cleat_worker_lag_seconds']), 2)
    equal(one(f, 'cleat_plugin_up', instance='prometheus',
              module='status-prometheus'), 1)
    equal(one(f, 'cleat_slot_up', slot='main'), 1)
    equal(one(f, 'cleat_ready'), 1)
    equal(one(f, 'cleat_epoch'), 1)
    seen = d.counters()
    for name, counter in (('cleat_tls_handshakes_total', 'handshakes'),
                          ('cleat_accepted_total', 'accepted'),
                          ('cleat_upgrades_total', 'upgrades')):
        equal(one(f, name), seen[counter], name)
    devices[0].close()
    devices[2].close()
    finish(d)


def test_refusals(scene):
    """what is refused is counted by its reason"""
    d = start(scene, conf={
        'commands': {'queue': '1', 'args': '1KiB'},
        'auth': {'failures_per_identity': '2'}})
    c = Control(d)
    wait_until('live is stored', lambda: [
        e['id'] for e in c.get('/v1/endpoints')['endpoints']] == ['live'])
    give = {'endpoint': 'live', 'verb': 'x-a', 'deadline_ms': 60000}
    c.post('/v1/commands', {**give, 'id': 'c-1'})
    for wrong in (give, {**give, 'endpoint': 'nobody'},
                  {**give, 'id': 'c-1'},
                  {**give, 'args': {'a': 'x' * 2000}}):
        try:
            c.post('/v1/commands', wrong)
            raise AssertionError('it was taken')
        except Problem:
            pass
    for _ in range(3):
        try:
            Device(d, 'a', token='wrong' * 8)
            raise AssertionError('it was let in')
        except (Failure, Closed):
            pass
    f = scrape(d)
    refused = {labels: v for labels, v in
               f['cleat_commands_refused_total'].items() if v}
    equal(sorted(refused.values()), [1, 1, 1, 1], str(refused))
    for reason in ('queue', 'endpoint', 'exists', 'invalid'):
        equal(one(f, 'cleat_commands_refused_total', reason=reason), 1,
              reason)
    equal(one(f, 'cleat_identity_refused_total'), 2)
    equal(one(f, 'cleat_identity_throttled_total', limit='identity'), 1)
    equal(one(f, 'cleat_enrolments_total', result='refused'), 0)
    check(one(f, 'cleat_control_requests_refused_total') >= 4, 'control')
    equal(one(f, 'cleat_telemetry_pruned_total'), 0)
    equal(sum(f['cleat_reports_refused_total'].values()), 0)
    c.close()
    finish(d)


def test_certificate_expiry(scene):
    """the end of the certificate in service is what the certificate says"""
    d = start(scene)
    text = subprocess.run(['openssl', 'x509', '-in', scene.server_cert()[0],
                           '-noout', '-enddate'], check=True, text=True,
                          capture_output=True).stdout
    until = ssl.cert_time_to_seconds(text.strip().split('=')[1])
    ((labels, value),) = scrape(d)[
        'cleat_certificate_expiry_timestamp_seconds'].items()
    equal(dict(labels)['slot'], 'main')
    equal(value, until)
    finish(d)


def test_process(scene):
    """memory, descriptors, processor time and start are those of the process"""
    d = start(scene)
    f = scrape(d)
    pid = d.process.pid
    with open(f'/proc/{pid}/statm') as file:
        rss = int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')
    got = one(f, 'process_resident_memory_bytes')
    check(rss / 2 < got < rss * 2, f'{got} is not near {rss}')
    check(abs(one(f, 'process_open_fds') - d.open_files()) <= 3,
          f'{f["process_open_fds"]}, {d.open_files()}')
    check(abs(one(f, 'process_start_time_seconds') - time.time()) < 300,
          str(f['process_start_time_seconds']))
    check(0 < one(f, 'process_cpu_seconds_total') <= d.cpu_seconds() + 0.1,
          str(f['process_cpu_seconds_total']))
    finish(d)


def test_counters_only_rise(scene):
    """scrapes while devices come, speak and go: never a bad text, never less"""
    d = start(scene)
    done = threading.Event()
    failures = []

    def churn(name):
        try:
            while not done.is_set():
                device = Device(d, name)
                for i in range(5):
                    device.call('event', {'data': {'n': i}})
                device.close()
        except Exception as e:          # said by the test's own thread
            failures.append(e)
    threads = [threading.Thread(target=churn, args=(n,))
               for n in ('a', 'b', 'c')]
    for t in threads:
        t.start()
    before = {}
    end = time.monotonic() + 3
    rounds = 0
    while time.monotonic() < end or rounds < 10:
        now = scrape(d)
        for name, values in now.items():
            if name.endswith('_total'):
                for labels, value in before.get(name, {}).items():
                    check(values[labels] >= value, f'{name} fell')
        total = sum(now['cleat_endpoints'].values())
        check(1 <= total <= 4, f'{total} endpoints')
        before, rounds = now, rounds + 1
    done.set()
    for t in threads:
        t.join()
    check(not failures, str(failures))
    check(one(before, 'cleat_messages_total', direction='in') > 30,
          'nothing was going on')
    finish(d)


def stuffed(d):
    """A scraper that asks again and again and never reads."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect(('127.0.0.1', d.metrics[0]))
    s.setblocking(False)
    request = f'GET {d.metrics[1]} HTTP/1.1\r\nHost: x\r\n\r\n'.encode()
    sent = 0
    try:
        while sent < 1 << 20:
            sent += s.send(request * 100)
    except BlockingIOError:
        pass
    return s


def test_stalled_scrapers(scene):
    """scrapers that stall cost nobody anything and are let go"""
    d = start(scene, {'connections': '4', 'timeout': '1s'})
    stalled = [stuffed(d), connect(('127.0.0.1', d.metrics[0])),
               connect(('127.0.0.1', d.metrics[0]))]
    stalled[1].sendall(b'GET ')
    begin = time.monotonic()
    equal(d.live.call('state', {'power': 'on'}), {})
    scrape(d)                           # the fourth place is free
    check(time.monotonic() - begin < 5, 'a stalled scraper is felt')
    stalled.append(connect(('127.0.0.1', d.metrics[0])))
    scrape(d)                           # waits until one is let go
    for s in stalled[1:]:
        s.settimeout(30)
        while s.recv(65536):
            pass
    d.cpu = d.cpu_seconds()
    Device(d, 'a').close()
    for s in stalled:
        s.close()
    finish(d)


def test_rude_requests(scene):
    """requests that are none, too long or for something else are refused"""
    d = start(scene)
    for request in (b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' * 20,
                    b'GET /metrics HTTP/1.1\r\nX: ' + b'y' * 100000,
                    b'GET ' + b'/' * 100000, b'\r\n' * 5000, b'\0' * 5000,
                    b'POST /metrics HTTP/1.1\r\nHost: x\r\n'
                    b'Transfer-Encoding: chunked\r\n\r\nffffffff\r\n',
                    b'GET /other HTTP/1.1\r\nHost: x\r\n\r\n'):
        s = connect(('127.0.0.1', d.metrics[0]))
        answer = b''
        try:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            while b'\r\n' not in answer:
                more = s.recv(65536)
                if not more:
                    break
                answer += more
        except OSError as e:    # reset, which shutdown() calls not connected
            check(not isinstance(e, TimeoutError), f'{request[:30]!r}: {e}')
        check(b' 200 ' not in answer, f'{request[:30]!r}: {answer[:80]!r}')
        s.close()
    scrape(d)
    finish(d)


def test_busy_port(scene):
    """a busy port is refused with its name, by the plugin and by who started
    it; the daemon stays"""
    busy = socket.create_server(('127.0.0.1', 0))
    port = busy.getsockname()[1]
    d = start(scene, {'address': f'127.0.0.1:{port}', 'required': 'no'},
              launch=False)
    d.start()
    lines = [x for x in d.log if f'127.0.0.1:{port}' in x]
    equal(len(lines), 2, f'{lines}')
    for line in lines:
        check('Address already in use' in line, line)
    d.live = Device(d, 'live')
    finish(d)
    required = scene.daemon('required', {SECTION: {
        'module': 'status-prometheus', 'address': f'127.0.0.1:{port}'}})
    required.launch()
    equal(required.wait(), 1, 'exit status')
    required.process = None
    busy.close()


def test_upgrade(scene):
    """a live upgrade takes the fixed port over; scrapes go on, with the new
    process"""
    Follower.adopt()
    port, = ports(1)
    d = start(scene, {'address': f'127.0.0.1:{port}'})
    equal(one(scrape(d), 'cleat_epoch'), 1)
    code, said = d.upgrade()
    equal(code, 0, said)
    equal(one(scrape(d), 'cleat_epoch'), 2)
    finish(d)


def test_bad_options(scene):
    """an address or a path that is none is refused at the start"""
    for n, options in enumerate(({'address': 'localhost:1'},
                                 {'address': '127.0.0.1'},
                                 {'path': 'metrics'})):
        d = scene.daemon(f'bad{n}', {SECTION: {
            'module': 'status-prometheus', 'address': '127.0.0.1:0',
            **options}})
        d.launch()
        equal(d.wait(), 1, 'exit status')
        d.process = None
        check(any(next(iter(options)) + ':' in x for x in d.log),
              '\n'.join(d.log))


def test_stop_with_scraper(scene):
    """a stop does not wait for a scraper that holds its connection"""
    d = start(scene, {'timeout': '10m'})
    idle = [connect(('127.0.0.1', d.metrics[0])) for _ in range(4)]
    idle[0].sendall(b'GET ')
    holding = stuffed(d)
    begin = time.monotonic()
    finish(d)
    check(time.monotonic() - begin < 20, 'the stop took too long')
    for s in idle + [holding]:
        s.close()


if __name__ == '__main__':
    main()
