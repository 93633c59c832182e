# SPDX-License-Identifier: Apache-2.0
"""The actors of a scenario: a certificate authority, the real daemon, devices,
and the TAP that says what was proven.  Standard library only.

Nothing here sleeps to wait for something: every wait is for an event, with a
deadline.  A scenario is a module of functions named test_*; each gets a fresh
Scene (own directory, killed daemons) and its docstring is its TAP line.
"""
import _ssl
import base64
import ctypes
import hashlib
import json
import os
import queue
import random
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import protocol  # noqa: E402
import spbus  # noqa: E402

SRCDIR = os.environ.get('CLEAT_SRCDIR', os.getcwd())
BUILDDIR = os.environ.get('CLEAT_BUILDDIR', os.getcwd())
SANITIZER = os.environ.get('CLEAT_SANITIZER', 'no')
VALGRIND = os.environ.get('CLEAT_VALGRIND', '')
# Deadlines are for broken software, not for slow machines.
PATIENCE = 60.0 if SANITIZER != 'no' or VALGRIND else 30.0


class Skip(Exception):
    """The test cannot run here; the text says why."""


class Failure(AssertionError):
    """Something that was promised did not happen."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def equal(got, wanted, text=''):
    if got != wanted:
        raise Failure(f'{text}: got {got!r}, wanted {wanted!r}')


def need(program, package):
    path = shutil.which(program)
    if path is None:
        raise Skip(f'{program} is not installed (package {package})')
    return path


def wait_until(what, condition, timeout=None, step=0.02):
    """Polls something that has no event of its own."""
    deadline = time.monotonic() + (timeout or PATIENCE)
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > deadline:
            raise Failure(f'not within the deadline: {what}')
        time.sleep(step)


class Beside(threading.Thread):
    """Does something over and over until it is told to stop or says False; what
    went wrong is raised by end()."""

    def __init__(self, step):
        super().__init__(daemon=True)
        self.step, self.error, self.turns = step, None, 0
        self.over = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.over.is_set() and self.step() is not False:
                self.turns += 1
        except Exception as e:      # pylint: disable=broad-except
            self.error = e

    def end(self):
        self.over.set()
        self.join(PATIENCE)
        if self.error is not None:
            raise self.error
        check(not self.is_alive(), 'it did not end')


# ---- certificates -----------------------------------------------------------

class Pki:
    """A throw-away authority made with openssl.  Its certificates pass strict
    verification, which Python's default contexts ask for since 3.13."""

    def __init__(self, directory, name='ca'):
        self.dir = directory
        self.name = name
        self.ca = self._path('crt')
        self.ca_key = self._path('key')
        self._openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
                      'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
                      '-subj', f'/CN=test {name}', '-addext',
                      'keyUsage=critical,keyCertSign,cRLSign', '-keyout',
                      self.ca_key, '-out', self.ca)

    def _path(self, ending, name=None):
        return os.path.join(self.dir, f'{name or self.name}.{ending}')

    def _openssl(self, *args):
        subprocess.run(['openssl', *args], check=True, cwd=self.dir,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def sign(self, csr, ext, crt, days=2):
        """Fewer days than none: it ended already.  `openssl x509` does not make
        such a one in every release."""
        if days >= 0:
            self._openssl('x509', '-req', '-in', csr, '-CA', self.ca,
                          '-CAkey', self.ca_key, '-CAcreateserial', '-extfile',
                          ext, '-out', crt, '-days', str(days))
            return
        conf, index = self._path('conf'), self._path('index')
        with open(index, 'w'), open(conf, 'w') as f:
            f.write('[ca]\ndefault_ca=own\n[own]\n'
                    f'database={index}\nnew_certs_dir={self.dir}\n'
                    'rand_serial=yes\ndefault_md=sha256\npolicy=any\n'
                    '[any]\ncommonName=supplied\n')
        start, end = (time.strftime('%Y%m%d%H%M%SZ', time.gmtime(
            time.time() + 86400 * n)) for n in (days - 1, days))
        self._openssl('ca', '-batch', '-notext', '-config', conf, '-cert',
                      self.ca, '-keyfile', self.ca_key, '-in', csr, '-extfile',
                      ext, '-out', crt, '-startdate', start, '-enddate', end)

    def issue(self, name, usage='serverAuth', sans=None, days=2, key='ec'):
        """Returns (certificate, key) paths, PEM."""
        crt, key_file, csr = (self._path(e, name) for e in
                              ('crt', 'key', 'csr'))
        algorithm = {'ec': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
                     'rsa': ['rsa:2048'], 'ed25519': ['ed25519']}[key]
        self._openssl('req', '-newkey', *algorithm, '-nodes', '-subj',
                      f'/CN={name}', '-keyout', key_file, '-out', csr)
        ext = self._path('ext', name)
        with open(ext, 'w') as f:
            f.write('basicConstraints=CA:FALSE\n'
                    'subjectKeyIdentifier=hash\n'
                    'authorityKeyIdentifier=keyid\n'
                    f'extendedKeyUsage={usage}\n')
            if sans:
                f.write('subjectAltName=' + ','.join(sans) + '\n')
        self.sign(csr, ext, crt, days)
        os.chmod(key_file, 0o600)
        return crt, key_file


LOCAL_SANS = ['DNS:localhost', 'IP:127.0.0.1', 'IP:::1']


def obey_modes():
    """For preexec_fn: root, too, cannot read what has no mode for it."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):       # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        # PR_CAPBSET_DROP; others than root have neither.
        if libc.prctl(24, capability, 0, 0, 0) != 0 and os.geteuid() == 0:
            raise OSError(ctypes.get_errno(), 'prctl')


# ---- the daemon -------------------------------------------------------------

def endless(handle, into, keep):
    for line in handle:
        line = line.rstrip('\n')
        keep.append(line)
        into.put(line)
    into.put(None)


class Follower:
    """What subprocess.Popen is to a child, for a process that an upgrade left
    to us (prctl(2), PR_SET_CHILD_SUBREAPER)."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None
        self._fd = os.pidfd_open(pid)

    @staticmethod
    def adopt():
        """Before the first one is started."""
        check(ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0, 'prctl')

    @staticmethod
    def end_all():
        """Those that a failed test left behind."""
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/stat') as f:
                    name, rest = f.read().rsplit(')', 1)
                if name.endswith('(cleatd') and \
                        int(rest.split()[1]) == os.getpid():
                    os.kill(int(pid), signal.SIGKILL)
                    os.waitpid(int(pid), 0)
            except OSError:
                pass                    # it has ended

    def wait(self, timeout):
        if self.returncode is None:
            ready, _, _ = select.select([self._fd], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired('cleatd', timeout)
            self.returncode = os.waitstatus_to_exitcode(
                os.waitpid(self.pid, 0)[1])
            os.close(self._fd)
        return self.returncode

    def poll(self):
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number):
        if self.poll() is None:
            signal.pidfd_send_signal(self._fd, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


class Daemon:
    """cleatd with a directory of its own.  `conf` is a dict of sections; None
    as a value leaves a key out."""

    def __init__(self, scene, name='d', conf=None, env=None):
        self.scene = scene
        self.name = name
        self.dir = scene.path(name)
        os.makedirs(self.dir, exist_ok=True)
        self.conf_path = os.path.join(self.dir, 'cleat.conf')
        self.state = os.path.join(self.dir, 'state')
        self.runtime = os.path.join(self.dir, 'run')
        self.events = os.path.join(self.runtime, 'events.ipc')
        self.snapshot = os.path.join(self.runtime, 'snapshot.ipc')
        self.token_file = os.path.join(self.dir, 'tokens')
        self.tokens = {}
        self.env = env or {}
        self.process = None
        self.log = []
        self.conf = self._default_conf()
        self.write_tokens()
        self.configure(conf or {})

    def _default_conf(self):
        scene = self.scene
        crt, key = scene.server_cert()
        return {
            'daemon': {'workers': '2', 'state_dir': self.state,
                       'runtime_dir': self.runtime,
                       'plugin_dir': os.path.join(BUILDDIR, 'plugins-1'),
                       'log_level': 'debug',
                       # Or only root could look at its descriptors.
                       'core_dumps': None if os.geteuid() == 0 else 'yes'},
            'listener.main': {'address': '127.0.0.1:0'},
            'slot.main': {'source': 'cert', 'default': 'yes'},
            'plugin.cert': {'module': 'cert-file', 'chain': crt,
                            'key': key},
            'plugin.endpoint': {'module': 'proto-endpoint'},
            'plugin.echo': {'module': 'proto-echo'},
            'auth': {'token_file': self.token_file},
        }

    def configure(self, changes):
        """Merges sections and writes the file; None removes a section."""
        for section, keys in changes.items():
            if keys is None:
                self.conf.pop(section, None)
                continue
            self.conf.setdefault(section, {}).update(keys)
        with open(self.conf_path, 'w') as f:
            for section, keys in self.conf.items():
                f.write(f'[{section}]\n')
                for key, value in keys.items():
                    if value is not None:
                        f.write(f'{key} = {value}\n')
                f.write('\n')

    def token(self, endpoint):
        """The token of an endpoint; made and registered when it is new."""
        if endpoint not in self.tokens:
            self.tokens[endpoint] = base64.b64encode(
                os.urandom(24)).decode()
            self.write_tokens()
        return self.tokens[endpoint]

    def write_tokens(self):
        temporary = self.token_file + '.new'
        with open(temporary, 'w') as f:
            for endpoint, token in self.tokens.items():
                digest = hashlib.sha256(token.encode()).hexdigest()
                f.write(f'{endpoint} {digest}\n')
        os.rename(temporary, self.token_file)

    def command(self, *args):
        command = [os.path.join(BUILDDIR, 'cleatd'), *args]
        if VALGRIND:
            command = VALGRIND.split() + command
        return command

    def launch(self, preexec_fn=None, pass_fds=(), env=None):
        """Starts it and returns at once."""
        environment = dict(os.environ, **self.env, **(env or {}))
        self.log = []
        self.lines = queue.Queue()
        self.process = subprocess.Popen(
            self.command('-c', self.conf_path), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            errors='replace', env=environment, preexec_fn=preexec_fn,
            pass_fds=pass_fds)
        self.reader = threading.Thread(
            target=endless, daemon=True,
            args=(self.process.stderr, self.lines, self.log))
        self.reader.start()
        return self

    def start(self, **kw):
        self.launch(**kw)
        self.expect_log(r'\bready version=')
        return self

    def expect_log(self, pattern, timeout=None):
        """The next line that matches; fails when the daemon ends first."""
        deadline = time.monotonic() + (timeout or PATIENCE)
        regex = re.compile(pattern)
        while True:
            try:
                line = self.lines.get(
                    timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise Failure(f'the daemon never said {pattern!r}; its last '
                              'lines:\n' + '\n'.join(self.log[-15:]))
            if line is None:
                raise Failure(f'the daemon ended before it said {pattern!r}'
                              ':\n' + '\n'.join(self.log[-15:]))
            if regex.search(line):
                return line

    def address(self, listener='main'):
        """(host, port) or a path."""
        for line in self.log:
            m = re.search(rf'listening listener={listener} address=(\S+)',
                          line)
            if m:
                text = m.group(1)
                if text.startswith('unix:'):
                    return text[5:]
                host, port = text.rsplit(':', 1)
                return host.strip('[]'), int(port)
        raise Failure(f'no line about listener {listener}')

    def url(self, path='/v1/channel', listener='main'):
        return f'wss://localhost:{self.address(listener)[1]}{path}'

    def reload(self):
        """Returns True when it was accepted."""
        self.process.send_signal(signal.SIGHUP)
        return 'configuration reloaded' in self.expect_log(
            r'configuration (not )?reloaded')

    def wait(self, timeout=None):
        try:
            code = self.process.wait(timeout or PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure('the daemon does not end')
        self.reader.join(PATIENCE)
        self.process.stderr.close()
        self.process_ended = True
        return code

    def upgrade(self, *args):
        """By cleatctl, until it serves or has refused; what that said."""
        p = subprocess.run(
            [os.path.join(BUILDDIR, 'cleatctl'), 'upgrade', '--wait', *args],
            env=dict(os.environ, CLEAT_CONTROL=os.path.join(
                self.dir, 'run', 'control.sock')),
            capture_output=True, text=True, timeout=10 * PATIENCE)
        if p.returncode == 0:
            self.follow()
        return p.returncode, p.stderr

    def follow(self):
        """The next process has taken over: it is the daemon now."""
        line = self.expect_log(r'\bupgraded pid=')
        equal(self.process.wait(PATIENCE), 0, 'exit status of the former')
        self._adopt(int(re.search(r' pid=(\d+)', line).group(1)))

    def adopt_next(self):
        """The same when the former was killed."""
        self.expect_log(r'\bready version=')
        with open(os.path.join(self.state, 'lock')) as f:
            self._adopt(int(f.read()))

    def _adopt(self, pid):
        stderr = self.process.stderr
        self.process = Follower(pid)
        self.process.stderr = stderr

    def stop(self):
        """Ends it as a service manager does; it must end well."""
        self.process.send_signal(signal.SIGTERM)
        code = self.wait()
        self.process = None
        self.check_clean()
        equal(code, 0, 'exit status of the daemon')

    def kill(self):
        self.process.kill()
        self.wait()
        self.process = None

    def check_clean(self):
        for line in self.log:
            if re.search(r'ERROR: \w*Sanitizer|runtime error:|'
                         r'WARNING: ThreadSanitizer|check failed|'
                         r'== (Invalid|Conditional jump|definitely lost)',
                         line):
                at = self.log.index(line)
                raise Failure('the daemon broke:\n' +
                              '\n'.join(self.log[at:at + 40]))

    def remembers(self, text):
        """How often the bytes stand in its memory."""
        found = 0
        try:
            memory = open(f'/proc/{self.process.pid}/mem', 'rb', 0)
        except PermissionError as e:
            raise Skip(f'its memory cannot be read: {e}')
        with memory, open(f'/proc/{self.process.pid}/maps') as maps:
            for line in maps:
                area, mode = line.split()[:2]
                start, end = (int(x, 16) for x in area.split('-'))
                # A sanitizer's shadow is huge, and holds no data.
                if not mode.startswith('rw') or end - start > 1 << 30:
                    continue
                try:
                    memory.seek(start)
                    found += memory.read(end - start).count(text.encode())
                except (OSError, ValueError):
                    pass            # gone meanwhile
        return found

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def open_files(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def cpu_seconds(self):
        with open(f'/proc/{self.process.pid}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def counters(self):
        """What it counted; asks for it, or takes what it said at its end."""
        if self.alive():
            said = len(self.log)

            def told():
                return any('counters of=channel' in line
                           for line in self.log[said:])
            deadline = time.monotonic() + PATIENCE
            while not told():       # lines beyond 20 a second are held back
                check(time.monotonic() < deadline, 'no counters')
                self.process.send_signal(signal.SIGUSR1)
                again = time.monotonic() + 1.1
                while not told() and time.monotonic() < again:
                    time.sleep(0.01)
        lines = [line for line in self.log if ' counters of=' in line][-3:]
        return {k: int(v) for line in lines
                for k, v in re.findall(r'(\w+)=(\d+)', line)}

    def bus(self, prefixes=('',)):
        """A subscriber that gets every event from now on."""
        return spbus.Sub(self.events, list(prefixes),
                         timeout=PATIENCE).wait_alive(PATIENCE)

    def request(self):
        return spbus.Req(self.snapshot, timeout=PATIENCE)

    def close(self):
        """At the end of a test: a daemon that still runs must end well."""
        if self.alive():
            self.stop()
        elif self.process is not None:
            self.wait()
            self.check_clean()


# ---- devices ----------------------------------------------------------------

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Closed(Exception):
    def __init__(self, code, reason=''):
        super().__init__(f'closed {code} {reason}')
        self.code, self.reason = code, reason


def forget_tls_errors():
    """Trap: Python 3.13 leaves a broken pipe in OpenSSL's queue of the thread's
    errors, and the next read of any connection that would wait fails with it.
    """
    ctypes.CDLL(_ssl.__file__).ERR_clear_error()


class WebSocket:
    """A client that does what a test says, right or wrong."""

    def __init__(self, sock, host, path='/v1/channel', headers=(),
                 subprotocol=None, upgrade=True):
        self.sock = sock
        self.buffer = bytearray()
        if upgrade:
            self.upgrade(host, path, headers, subprotocol)

    def upgrade(self, host, path, headers=(), subprotocol=None):
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f'GET {path} HTTP/1.1', f'Host: {host}',
                 'Upgrade: websocket', 'Connection: Upgrade',
                 f'Sec-WebSocket-Key: {key}', 'Sec-WebSocket-Version: 13',
                 *headers]
        if subprotocol:
            lines.append(f'Sec-WebSocket-Protocol: {subprotocol}')
        self.sock.sendall(('\r\n'.join(lines) + '\r\n\r\n').encode())
        self.status, self.headers = self.read_head()
        if self.status == 101:
            accept = base64.b64encode(hashlib.sha1(
                (key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()
            ).digest()).decode()
            equal(self.headers.get('sec-websocket-accept'), accept,
                  'Sec-WebSocket-Accept')

    def read_head(self):
        while b'\r\n\r\n' not in self.buffer:
            more = self.sock.recv(65536)
            if not more:
                raise Closed(1006, 'no answer to the upgrade')
            self.buffer += more
        end = self.buffer.index(b'\r\n\r\n')
        head = bytes(self.buffer[:end])
        del self.buffer[:end + 4]
        first, *rest = head.decode('latin-1').split('\r\n')
        headers = dict(line.split(': ', 1) for line in rest)
        return int(first.split()[1]), {k.lower(): v
                                       for k, v in headers.items()}

    @staticmethod
    def frame(opcode, payload, fin=True, rsv=0, mask=b'\x12\x34\x56\x78'):
        head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        bit = 0x80 if mask else 0
        n = len(payload)
        if n < 126:
            head += bytes([bit | n])
        elif n < 65536:
            head += bytes([bit | 126]) + struct.pack('>H', n)
        else:
            head += bytes([bit | 127]) + struct.pack('>Q', n)
        if not mask:
            return head + payload
        stretched = mask * (n // 4 + 1)
        body = (int.from_bytes(payload, 'big') ^ int.from_bytes(
            stretched[:n], 'big')).to_bytes(n, 'big')
        return head + mask + body

    def send(self, payload, opcode=None):
        if opcode is None:
            opcode = TEXT if isinstance(payload, str) else BINARY
        if isinstance(payload, str):
            payload = payload.encode()
        try:
            self.sock.sendall(self.frame(opcode, payload))
        except OSError:
            forget_tls_errors()
            raise

    def _need(self, n):
        while len(self.buffer) < n:
            try:
                more = self.sock.recv(262144)
            except OSError:
                forget_tls_errors()
                raise
            if not more:
                raise Closed(1006, 'end of stream')
            self.buffer += more

    def recv_frame(self):
        """(opcode, payload, fin, rsv)"""
        self._need(2)
        first, n = self.buffer[0], self.buffer[1]
        check(n < 128, 'a server must not mask')
        at = 2
        if n == 126:
            self._need(4)
            n, at = struct.unpack('>H', self.buffer[2:4])[0], 4
        elif n == 127:
            self._need(10)
            n, at = struct.unpack('>Q', self.buffer[2:10])[0], 10
        self._need(at + n)
        payload = bytes(self.buffer[at:at + n])
        del self.buffer[:at + n]
        return first & 15, payload, bool(first & 0x80), first >> 4 & 7

    def recv(self, answer_pings=True):
        """The next message; pings are answered, a close raises Closed."""
        parts = []
        while True:
            opcode, payload, fin, _ = self.recv_frame()
            if opcode == PING:
                if answer_pings:
                    self.send(payload, PONG)
            elif opcode == CLOSE:
                code = struct.unpack('>H', payload[:2])[0] \
                    if len(payload) >= 2 else 1005
                raise Closed(code, payload[2:].decode())
            elif opcode != PONG:
                parts.append(payload)
                if opcode:
                    kind = opcode
                if fin:
                    whole = b''.join(parts)
                    return whole.decode() if kind == TEXT else whole

    def expect_close(self):
        """(code, reason); data before it is dropped."""
        while True:
            try:
                self.recv()
            except Closed as e:
                return e.code, e.reason
            except (ConnectionError, ssl.SSLError):
                return 1006, 'reset'

    def close(self, code=1000):
        """The closing handshake; the server must answer."""
        self.send(struct.pack('>H', code), CLOSE)
        got = self.expect_close()
        self.sock.close()
        return got

    def abort(self):
        """A reset, as when the power goes."""
        raw = self.sock
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                       struct.pack('ii', 1, 0))
        raw.close()


class Device(WebSocket):
    """A device of the native protocol.  What is said is held against its
    schema (protocol.py)."""

    def __init__(self, daemon, endpoint, listener='main', cert=None,
                 hello=True, token=None, tls=True, path='/v1/channel',
                 context=None, session=None, source=None):
        self.daemon, self.endpoint = daemon, endpoint
        self.counter = 0
        self.notifications = []
        self.traffic = protocol.Traffic()
        sock = connect(daemon.address(listener), source=source)
        if tls:
            context = context or daemon.scene.client_context(cert)
            sock = context.wrap_socket(sock, server_hostname='localhost',
                                       session=session)
        super().__init__(sock, 'localhost', path,
                         subprotocol='cleat.v1.jsonrpc')
        if self.status != 101:
            raise Closed(1006, f'HTTP {self.status}')
        if hello:
            auth = {'method': 'mtls'} if cert else {
                'method': 'token',
                'token': token or daemon.token(endpoint)}
            self.hello_result = self.call(
                'hello', {'endpoint': endpoint, 'auth': auth,
                          'agent': {'name': 'harness',
                                             'version': '1'},
                          'boot_id': 'b1'})

    def send(self, payload, opcode=None):
        if isinstance(payload, str):
            self.traffic.device_says(payload)
        super().send(payload, opcode)

    def recv(self, answer_pings=True):
        message = super().recv(answer_pings)
        if isinstance(message, str):
            self.traffic.server_says(message)
        return message

    def send_json(self, value):
        self.send(json.dumps(value))

    def notify(self, method, params=None):
        self.send_json({'jsonrpc': '2.0', 'method': method,
                        'params': params or {}})

    def call(self, method, params=None):
        """The result; an error is raised as Failure."""
        self.counter += 1
        self.send_json({'jsonrpc': '2.0', 'id': self.counter,
                        'method': method, 'params': params or {}})
        while True:
            answer = json.loads(self.recv())
            if answer.get('id') == self.counter and 'method' not in answer:
                if 'error' in answer:
                    raise Failure(f'{method}: {answer["error"]}')
                return answer['result']
            self.notifications.append(answer)


def ports(n):
    """Fixed ones, for who cannot bind 0 and ask: nobody listens on them, and
    the kernel gives them to nobody who connects or binds 0."""
    got = []
    while len(got) < n:
        port = random.randrange(20000, 32000)
        try:
            socket.create_server(('127.0.0.1', port)).close()
        except OSError:
            continue
        if str(port) not in got:
            got.append(str(port))
    return got


def connect(address, timeout=None, source=None):
    """source: the address that it comes from."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout or PATIENCE)
        sock.connect(address)
        return sock
    return socket.create_connection(address, timeout or PATIENCE,
                                    source and (source, 0))


# ---- a test and its surroundings --------------------------------------------

class Scene:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='cleat-')
        self.actors = []
        self._pki = None

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    @property
    def pki(self):
        if self._pki is None:
            self._pki = Pki(self.dir)
        return self._pki

    def server_cert(self):
        if not os.path.exists(self.path('localhost.crt')):
            self.pki.issue('localhost', sans=LOCAL_SANS)
        return self.path('localhost.crt'), self.path('localhost.key')

    def client_context(self, cert=None, version=None):
        context = ssl.create_default_context(cafile=self.pki.ca)
        if cert:
            context.load_cert_chain(*cert)
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def daemon(self, name='d', conf=None, env=None):
        d = Daemon(self, name, conf, env)
        self.actors.append(d)
        return d

    def spawn(self, *args, **kw):
        """A helper program; killed at the end."""
        p = subprocess.Popen(args, **kw)
        self.actors.append(p)
        return p

    def close(self):
        failure = None
        for a in reversed(self.actors):
            try:
                if isinstance(a, subprocess.Popen):
                    if a.poll() is None:
                        a.kill()
                    a.wait()
                else:
                    a.close()
            except Exception as e:      # the others must end too
                failure = failure or e
        Follower.end_all()
        if failure:
            raise failure

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def dump(self):
        for a in self.actors:
            if isinstance(a, Daemon):
                if a.process is not None and a.process.poll() is None:
                    a.process.kill()
                print(f'--- log of {a.name}', *a.log[-60:], sep='\n',
                      file=sys.stderr)


def tests_of(module):
    return [(n, f) for n, f in vars(module).items()
            if n.startswith('test_') and callable(f)]


def run_one(number, name, function):
    title = ' '.join((function.__doc__ or name).split('\n\n')[0].split())
    scene = Scene()
    try:
        function(scene)
        scene.close()
        print(f'ok {number} - {title}', flush=True)
        return True
    except Skip as e:
        print(f'ok {number} - {title} # SKIP {e}', flush=True)
        scene.close()
        return True
    except Exception:
        traceback.print_exc()
        scene.dump()
        print(f'not ok {number} - {title}', flush=True)
        try:
            scene.close()
        except Exception:
            pass
        return False
    finally:
        scene.remove()


def main():
    module = sys.modules['__main__']
    wanted = sys.argv[1:]
    tests = [(n, f) for n, f in tests_of(module)
             if not wanted or n in wanted]
    print(f'1..{len(tests)}', flush=True)
    good = [run_one(i, n, f) for i, (n, f) in enumerate(tests, 1)]
    sys.exit(0 if all(good) else 1)
