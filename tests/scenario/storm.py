#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A fleet that comes back all at once after kill -9 (issue 5).
CT_STORM_DEVICES says how many there are: 400, and 15,000 with `make storm`."""
import hashlib
import json
import os
import queue
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from datetime import datetime

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from control import Control  # noqa: E402
from harness import (BUILDDIR, SANITIZER, VALGRIND, Failure,  # noqa: E402
                     Skip, check, equal, main, wait_until)
from spbus import BusError, BusTimeout  # noqa: E402

# Under valgrind a handshake takes a hundred times as long.
N = int(os.environ.get('CT_STORM_DEVICES', '60' if VALGRIND else '400'))
WITNESSES = 16                  # back before the others, and there all the time
SOURCES = 24                    # addresses that tests/bench/wsc.c comes from
PATIENCE = 240
WINDOW = max(0.2, N / 30000)    # all come within so many seconds
PING = {'ping': '2s', 'suspect': '5s', 'dead': '15s',
        'retry_min': '1s', 'retry_max': '60s', 'recovery': f'{PATIENCE}s'}
PING_S = {'ping': 2, 'suspect': 5, 'dead': 15}
# For which a channel that is live all the time may hear no ping.
SLOW = SANITIZER != 'no' or VALGRIND
SILENCE = PING_S['dead'] if SLOW else PING_S['ping'] + PING_S['suspect']
# Ends of connections that nobody has come in by, each by its counter.
ENDS = ('shed', 'refused_rate', 'refused_limit', 'refused_address',
        'handshake_timeouts', 'handshakes_failed', 'http_timeouts',
        'http_failed', 'upgrade_refused', 'auth_timeouts', 'auth_failed')


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
    """tests/bench/storm, which plays all of these devices."""

    def __init__(self, scene, d, names, who):
        program = os.path.join(BUILDDIR, 'tests', 'bench', 'storm')
        if not os.path.exists(program):
            raise Skip('tests/bench/storm is not built: libssl-dev')
        path = scene.path(who)
        with open(path, 'w') as f:
            for name in names:
                f.write(f'{name} {d.tokens[name]}\n')
        self.process = scene.spawn(
            program, str(d.address()[1]), path, str(len(names)),
            str(WINDOW), scene.pki.ca,
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

    def pause(self, on):
        self.process.send_signal(signal.SIGSTOP if on else signal.SIGCONT)

    def end(self):
        """What it says at its end."""
        self.process.stdin.close()
        self.process.wait(30)
        return self.all_there()


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
                self.peak = max(self.peak, memory(self.d, 'RssAnon',
                                                  'RssShmem'))

    def end(self):
        self.over.set()
        self.join()
        events = list(self.bus.history)
        self.bus._peer.close()
        return events


def memory(d, *what):
    with open(f'/proc/{d.process.pid}/status') as f:
        return sum(int(line.split()[1]) * 1024 for line in f
                   if line.split(':')[0] in what)


def cap(d):
    """What --check-config computes for so many devices."""
    text = subprocess.run(d.command('--check-config', '-c', d.conf_path),
                          capture_output=True, text=True, check=True).stdout
    base, each = next(line.split()[1:] for line in text.splitlines()
                      if line.startswith('memory '))
    return int(base) + (N + WITNESSES) * int(each)


def judge_events(events, names):
    """Nothing is reported that is not so."""
    wrong = [e for e in events if e['event'].startswith('endpoint.') and
             e['event'] != 'endpoint.online' and
             (e['event'], e.get('reason')) != ('endpoint.unknown', 'start')]
    check(not wrong, f'{len(wrong)} wrong reports, the first: {wrong[:1]}')
    # Who comes while all are stated at the start may be stated again, alike.
    came = {(e['endpoint'], e['channel'], e['revision']) for e in events
            if e['event'] == 'endpoint.online'}
    there = {endpoint for endpoint, _, _ in came}
    equal(len(came), len(there), 'some came twice')
    # We may be too slow for so many: then there are gaps, and revisions tell.
    lost = events[-1]['seq'] - events[0]['seq'] + 1 - len(events)
    check(len(names - there) <= lost, f'{len(names - there)} were never '
          f'online, and {lost} events not heard')
    return lost


def judge_recovered(events, began):
    """Its figures are true: nobody came after it, and it took no longer than
    we waited and no shorter than they needed."""
    recovered = [e for e in events if e['event'] == 'daemon.recovered']
    equal(len(recovered), 1, 'daemon.recovered')
    got = recovered[0]['detail']
    got = json.loads(got) if isinstance(got, str) else got
    equal({k: got[k] for k in ('expected', 'heard', 'disconnected',
                               'offline', 'asleep')},
          {'expected': N + WITNESSES, 'heard': N + WITNESSES,
           'disconnected': 0, 'offline': 0, 'asleep': 0},
          'the figures of recovered')
    online = [e for e in events if e['event'] == 'endpoint.online']
    check(online[-1]['seq'] < recovered[0]['seq'], 'somebody came after it')
    first, last, told = (when(e) for e in (online[0], online[-1],
                                           recovered[0]))
    check(last - first <= got['took_ms'] / 1000 <= told - began,
          f'{got}, but {first} to {last}, begun {began}, told {told}')
    return got


def when(event):
    return datetime.fromisoformat(
        event['time'].replace('Z', '+00:00')).timestamp()


def revisions(d):
    with d.request() as ask:
        there = ask.endpoints()
    equal(sorted(e['endpoint'] for e in there), sorted(d.tokens), 'snapshot')
    return {e['endpoint']: (e['state'], e['revision']) for e in there}


def judge_states(d, before):
    """Each is online, in the snapshot of the bus and for the operator, and has
    been nothing else since it was unknown."""
    for name, (state, revision) in revisions(d).items():
        was, first = before[name]
        equal((state, revision - first), ('online', was == 'unknown'),
              f'{name}, that was {was}')
    states = Control(d).get('/v1/status')['endpoints']['states']
    equal({k: v for k, v in states.items() if v},
          {'online': N + WITNESSES}, 'status')


def judge_counters(counted, before, figures):
    """What the daemon counted is what its devices saw."""
    equal(figures['nobody'], 0, 'times that nobody listened')
    ended = {k: counted[k] - before[k] for k in ENDS
             if counted[k] > before[k]}
    equal(sum(ended.values()), figures['failures'], f'{ended}, {figures}')
    equal(counted['accepted'] - before['accepted'], figures['attempts'],
          'accepted')
    equal(counted['authenticated'], N + WITNESSES, 'authenticated')
    equal(counted['timeouts'], 0, 'dead channels')
    return ended


def storm(scene, limits):
    need = 2 * N + 1000 if N < 5000 else N + 1000
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < need:
        raise Skip(f'{N} devices need {need} descriptors, not {hard}')
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    d = scene.daemon(conf={'presence': PING, 'daemon': {
        'log_level': 'notice'}})
    names = [f'dev-{i}' for i in range(N)]
    others = [f'witness-{i}' for i in range(WITNESSES)]
    for name in names + others:
        d.tokens[name] = hashlib.sha256(name.encode()).hexdigest()
    d.write_tokens()
    d.start()
    d.configure({'limits': limits, 'listener.main': {
        'address': f'127.0.0.1:{d.address()[1]}'}})
    fleet = Fleet(scene, d, names, 'devices')
    witnesses = Fleet(scene, d, others, 'witnesses')
    print(f'# at first: {fleet.all_there()}')
    witnesses.all_there()
    wait_until('all of them are stored',
               lambda: stored(d) == N + WITNESSES, PATIENCE)
    # They notice their end, and come, when the witnesses are back.
    fleet.pause(True)
    d.kill()
    began = time.time()
    d.start()
    watch = Watch(d)
    witnesses.all_there()
    states = revisions(d)
    equal(sum(state == 'unknown' for state, _ in states.values()), N,
          'awaited')
    before = d.counters()
    cpu = d.cpu_seconds()
    fleet.pause(False)
    figures = fleet.all_there()
    cpu = d.cpu_seconds() - cpu
    wait_until('recovered', lambda: watch.bus.find('daemon.recovered'),
               PATIENCE)
    # Every channel is pinged once more, and would be suspect by then.
    time.sleep(PING_S['ping'] + PING_S['suspect'] + 1)
    events = watch.end()
    counted = d.counters()
    ended = judge_counters(counted, before, figures)
    judge_states(d, states)
    lost = judge_events(events, set(names))
    recovered = judge_recovered(events, began)
    bound, most = cap(d), memory(d, 'VmHWM')
    print(f'# recovered: {recovered}; the fleet: {figures}')
    print(f'# cpu {cpu:.2f} s, peak {watch.peak >> 10} KiB of its own, '
          f'{most >> 10} KiB in all, cap {bound >> 10} KiB')
    print(f'# waited {counted["waited"]}, paced {counted["paced"]}, '
          f'ended {ended}; {lost} events not heard')
    # What is freed stays in a sanitizer's quarantine.
    if not SLOW:
        check(most < bound, f'{most} bytes, the cap is {bound}')
    last = witnesses.end()
    print(f'# the witnesses: {last}; the fleet: {fleet.end()}')
    check(last['silence'] < SILENCE,
          f'a live channel was not pinged for {last["silence"]} s')
    d.stop()
    return counted


def test_storm(scene):
    """all come back at once after kill -9: nothing is wrongly reported, no
    deadline is missed, memory stays under its cap, recovered has the figures"""
    storm(scene, {})


def test_storm_beyond_the_limits(scene):
    """the same with few handshakes at a time, a small waiting room and slow
    buckets: some wait, the oldest are shed, and all are back in the end"""
    rate = max(1, N // SOURCES // 8)
    counted = storm(scene, {
        'handshakes': str(max(8, N // 200)),
        'waiting': str(max(16, N // 60)),
        'address_rate': str(rate), 'address_burst': str(rate),
        'listener_rate': str(max(20, N // 64)),
        'listener_burst': '5'})
    # Who is slow does not even reach the listener's rate.
    for what in ('waited', 'shed', 'refused_rate') + (
            () if SLOW else ('paced',)):
        check(counted[what] > 0, f'none was {what}')


if __name__ == '__main__':
    main()
