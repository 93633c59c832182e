#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet that comes back all at once after kill -9 (issue 5).  CT_STORM_DEVICES
says how many there are: 400, and 15,000 with `make storm`."""
import hashlib
import json
import os
import queue
import resource
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, SANITIZER, VALGRIND, Failure,  # noqa: E402
                     Skip, check, equal, main, wait_until)
from spbus import BusError, BusTimeout  # noqa: E402

N = int(os.environ.get('CT_STORM_DEVICES', '400'))
PATIENCE = 240
WINDOW = max(0.2, N / 30000)    # all come within so many seconds
PING = {'ping': '2s', 'suspect': '5s', 'dead': '15s',
        'retry_min': '1s', 'retry_max': '60s'}
PING_MS = {'ping': 2000, 'suspect': 5000, 'dead': 15000}


def stored(d):
    """Devices whose channel the database knows."""
    path = os.path.join(d.state, 'cleat.db')
    db = sqlite3.connect(f'file:{path}?mode=ro', uri=True)
    try:
        return db.execute(
            'SELECT count(*) FROM endpoint WHERE channel > 0').fetchone()[0]
    finally:
        db.close()


class Fleet:
    """tests/bench/storm, which plays all devices."""

    def __init__(self, scene, d):
        program = os.path.join(BUILDDIR, 'tests', 'bench', 'storm')
        if not os.path.exists(program):
            raise Skip('tests/bench/storm is not built: libssl-dev')
        path = scene.path('devices')
        with open(path, 'w') as f:
            for endpoint, token in d.tokens.items():
                f.write(f'{endpoint} {token}\n')
        self.process = subprocess.Popen(
            [program, str(d.address()[1]), path, str(len(d.tokens)),
             str(WINDOW), scene.pki.ca],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.said.put(json.loads(line))

    def all_there(self):
        try:
            return self.said.get(timeout=PATIENCE)
        except queue.Empty:
            raise Failure('the fleet never was there as a whole')

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


class Watch(threading.Thread):
    """Reads the bus all the time and the daemon's memory now and then."""

    def __init__(self, d):
        super().__init__(daemon=True)
        self.d, self.bus = d, d.bus()
        self.peak, self.over = 0, threading.Event()
        self.start()

    def run(self):
        looked = 0
        while not self.over.is_set():
            try:
                self.bus.recv(0.05)
            except (BusTimeout, BusError):
                pass
            if time.monotonic() - looked > 0.02:
                looked = time.monotonic()
                self.peak = max(self.peak, anonymous(self.d))

    def end(self):
        self.over.set()
        self.join()
        events = list(self.bus.history)
        self.bus._peer.close()
        return events


def anonymous(d):
    with open(f'/proc/{d.process.pid}/status') as f:
        for line in f:
            if line.startswith('RssAnon:'):
                return int(line.split()[1]) * 1024
    return 0


def cap(d):
    """What --check-config computes for so many devices."""
    text = subprocess.run(d.command('--check-config', '-c', d.conf_path),
                          capture_output=True, text=True, check=True).stdout
    base, each = next(line.split()[1:] for line in text.splitlines()
                      if line.startswith('memory '))
    return int(base) + N * int(each)


def judge(events, figures):
    """Nothing is reported that is not so."""
    wrong = [e for e in events if e.topic in (
        'endpoint.disconnected', 'endpoint.suspect', 'endpoint.offline')]
    check(not wrong, f'{len(wrong)} wrong reports, the first: {wrong[:1]}')
    recovered = [e for e in events if e.topic == 'daemon.recovered']
    equal(len(recovered), 1, 'daemon.recovered')
    got = recovered[0]['detail']
    got = json.loads(got) if isinstance(got, str) else got
    equal({k: got[k] for k in ('expected', 'heard', 'disconnected',
                               'offline', 'asleep')},
          {'expected': N, 'heard': N, 'disconnected': 0, 'offline': 0,
           'asleep': 0}, 'the figures of recovered')
    print(f'# recovered: {got}; the fleet: {figures}')


def storm(scene, limits):
    if VALGRIND:
        raise Skip('a storm takes too long under valgrind')
    need = 2 * N + 1000 if N < 5000 else N + 1000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < need:
        raise Skip(f'{N} devices need {need} descriptors, not {hard}')
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    d = scene.daemon(conf={'presence': PING, 'limits': limits,
                           'daemon': {'log_level': 'notice'}})
    for i in range(N):
        d.tokens[f'dev-{i}'] = hashlib.sha256(str(i).encode()).hexdigest()
    d.write_tokens()
    d.start()
    d.configure({'listener.main': {
        'address': f'127.0.0.1:{d.address()[1]}'}})
    fleet = Fleet(scene, d)
    first = fleet.all_there()
    print(f'# at first: {first}')
    wait_until('all of them are stored', lambda: stored(d) == N)
    d.kill()
    d.start()
    watch = Watch(d)
    figures = fleet.all_there()
    wait_until('recovered', lambda: watch.bus.find('daemon.recovered'),
               PATIENCE)
    # Every channel is pinged once more, and would be suspect by then.
    time.sleep((PING_MS['ping'] + PING_MS['suspect']) / 1000 + 1)
    events = watch.end()
    counted = d.counters()
    judge(events, figures)
    bound = cap(d)
    print(f'# peak {watch.peak >> 10} KiB, cap {bound >> 10} KiB; '
          f'waited {counted["waited"]}, shed {counted["shed"]}, '
          f'refused_rate {counted["refused_rate"]}')
    # What is freed stays in a sanitizer's quarantine.
    check(SANITIZER != 'no' or watch.peak < bound, f'{watch.peak} bytes, the cap is {bound}')
    fleet.end()
    d.stop()
    return counted


def test_storm(scene):
    """all come back at once after kill -9: nothing is wrongly reported, no
    deadline is missed, memory stays under its cap, recovered has the figures"""
    storm(scene, {})


def test_storm_beyond_the_limits(scene):
    """the same with few handshakes at a time and a small waiting room: the
    oldest are shed, and all are back in the end"""
    counted = storm(scene, {'handshakes': '8', 'waiting': '16'})
    check(counted['waited'] > 0, 'nobody had to wait')
    check(counted['shed'] > 0, 'nobody was shed')


if __name__ == '__main__':
    main()
