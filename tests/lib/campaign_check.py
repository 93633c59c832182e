# SPDX-License-Identifier: Apache-2.0
"""The judge of a campaign.  Compares what devices wrote down with what the
daemon says (snapshot, events) and keeps (the database, read-only).  It shares
no code with daemon, fleet or harness; its inputs are files:

    world.jsonl     starts, ends and disturbances, by whoever made them
    devices.jsonl   what devices did and were told
    events.jsonl    what a subscriber got, and where it began to listen anew
    snapshot.json   {"epoch", "seq", "endpoints"} when all had come to rest

Rules, each with planted violations in campaign_plant.py:
    state       no state is wrong after its bound
    channel     channel numbers only rise; one live channel an endpoint; who is
                kicked or drained goes
    epoch       every start has a number of its own, rising
    event       every event is there, or its loss shows; none comes late
and those of campaign_kept.py:
    telemetry   nothing acknowledged is missing, twice or different
    inventory   what was acknowledged is there, at that revision or a later one
    command     one outcome, with a reason; never run twice against its id
    identity    who is let in, and nobody else, until it is revoked
"""
import json
import os
import sqlite3

from campaign_kept import Kept



# Presence is stored behind its change: of a channel that began less than this
# before a kill, on a stalled disk, nothing may be known afterwards.
SOFT_MS = 5000
LEFT = {'bye': 'offline', 'sleep': 'asleep'}


class Endpoint:
    def __init__(self):
        self.channels = set()       # numbers that were given, ever
        self.conns = {}             # number: channel; without what is past
        self.down = {}              # number: (t, how, code)
        self.tried = {}             # number: t, of those without an answer
        self.said = {}              # number: (t, bye|sleep, until)
        self.asked = {}             # number: bye|sleep, answered or not
        self.up_t = {}
        self.kicked = 0             # who was up before must be gone
        self.before = ()            # states that channels of before left

    def forget_past(self):
        """Connections that were over before the newest one."""
        newest = max(self.conns, key=lambda c: self.conns[c])
        for c in [c for c in self.conns if c != newest and c in self.down]:
            if c in self.said:
                self.before += (LEFT[self.said[c][1]],)
            for d in (self.conns, self.down, self.said, self.asked,
                      self.up_t):
                d.pop(c, None)
        for c in [c for c, t in self.tried.items()
                  if t < self.up_t[newest]]:
            del self.tried[c]


class Judge:
    def __init__(self, directory):
        self.dir = directory
        self.at = {}
        self.endpoints = {}
        self.epochs, self.kills = [], []
        self.received = {}          # epoch: set of seq
        self.last = {}              # (epoch, seq): event
        self.newest = {}            # endpoint: (revision, channel, epoch)
        self.alive = (0, 0)
        self.now_epoch, self.now_seq = 0, 0
        self.events = self.drained = self.gaps = 0
        self.hard = []              # found while reading; never mended
        self.kept = Kept(self.hard)

    # ---- reading

    def lines(self, name):
        """What was appended since the last look; whole lines only."""
        path = os.path.join(self.dir, name)
        if not os.path.exists(path):
            return
        with open(path, 'rb') as f:
            f.seek(self.at.get(name, 0))
            for line in f:
                if not line.endswith(b'\n'):
                    break
                self.at[name] = self.at.get(name, 0) + len(line)
                yield json.loads(line)

    def read(self):
        for w in self.lines('world.jsonl'):
            self.world(w)
            self.kept.world(w)
        for d in self.lines('devices.jsonl'):
            self.device(self.endpoints.setdefault(d['id'], Endpoint()), d)
            self.kept.device(d)
        for e in self.lines('events.jsonl'):
            self.event(e)

    def world(self, w):
        if w['what'] == 'started':
            if self.epochs and w['epoch'] <= self.epochs[-1]:
                self.hard.append(f'epoch: {w["epoch"]} after '
                                 f'{self.epochs[-1]}')
            self.epochs.append(w['epoch'])
        elif w['what'] == 'killed':
            self.kills.append(w['t'])
        elif w['what'] == 'kicked':
            self.endpoints.setdefault(w['id'], Endpoint()).kicked = \
                w['since']
        elif w['what'] == 'drained':
            self.drained = w['since']

    def device(self, e, d):
        what = d['what']
        if what == 'up':
            if d['channel'] in e.channels:
                self.hard.append(f'channel: {d["id"]} was given number '
                                 f'{d["channel"]} twice: {d}')
            if d['security'] == 'wss-safe':
                self.hard.append(f'identity: nobody was bound to TLS: {d}')
            e.conns[d['conn']] = d['channel']
            e.channels.add(d['channel'])
            e.up_t[d['conn']] = d['t']
            e.tried.pop(d['conn'], None)
        elif what == 'try':
            e.tried[d['conn']] = d['t']
        elif what == 'down':
            e.down[d['conn']] = (d['t'], d['how'], d['code'])
        elif what in ('bye', 'sleep'):
            e.said[d['conn']] = (d['t'], what, d.get('until', 0))
        elif what == 'asks':
            e.asked[d['conn']] = d['method']
        elif what == 'refused':
            e.tried.pop(d['conn'], None)

    def event(self, e):
        if 'alive' in e:
            self.alive = max(self.alive, (e['epoch'], e['alive']))
            return
        self.events += 1
        epoch, seq = e['epoch'], e['seq']
        got = self.received.setdefault(epoch, set())
        if seq in got:
            self.hard.append(f'event: number {seq} of epoch {epoch} came '
                             f'twice: {e}')
        if (epoch, seq) < (self.now_epoch, self.now_seq):
            self.hard.append(f'event: {seq} of epoch {epoch} came after '
                             f'{self.now_seq} of {self.now_epoch}')
        got.add(seq)
        if epoch != self.now_epoch:
            for old in [k for k in self.received if k < epoch]:
                del self.received[old]
            self.last = {}
        self.gaps += epoch == self.now_epoch and seq > self.now_seq + 1
        self.now_epoch, self.now_seq = epoch, seq
        name = e.get('endpoint')
        if not name or 'revision' not in e:
            return
        self.last[seq] = e
        revision, channel, since = self.newest.get(name, (0, 0, 0))
        if e['revision'] < revision or e['channel'] < channel:
            self.hard.append(
                f'event: a late word: {name} was at revision {revision} of '
                f'channel {channel}, then came {e}')
        self.newest[name] = (max(revision, e['revision']),
                             max(channel, e['channel']), epoch)

    # ---- judging

    def expected(self, e):
        """(states, channel or None, why) as the devices' log has it."""
        live = [c for c in e.conns if c not in e.down]
        if len(live) > 1:
            return None, None, f'connections {live} are all open'
        if not e.conns:
            return ('unlinked', 'disconnected', 'unknown') if not e.tried \
                else ('unlinked', 'disconnected'), None, 'never let in'
        e.forget_past()
        newest = max(e.conns, key=lambda c: e.conns[c])
        number = e.conns[newest]
        if live:
            if e.up_t[live[0]] < max(e.kicked, self.drained):
                return None, None, (f'connection {live[0]} is open, though '
                                    f'it was kicked or drained')
            if live[0] != newest:
                return None, None, (f'connection {live[0]} is open, though '
                                    f'{newest} has replaced it')
            return ('online',), number, f'connection {live[0]} is open'
        _, how, code = e.down[newest]
        why = f'connection {newest} ended: {how} {code}'
        states = ('disconnected',)
        if newest in e.said:
            _, what, _ = e.said[newest]
            # Both are answered when they are durable.
            states = (LEFT[what],)
        # One that had no answer may have been let in all the same.
        if any(e.up_t[newest] <= at for at in e.tried.values()):
            states += ('disconnected',)
        # A farewell without an answer may have been heard.
        if newest in e.asked and newest not in e.said:
            states += (LEFT[e.asked[newest]],)
        if not any(e.up_t[newest] <= k <= e.up_t[newest] + SOFT_MS
                   for k in self.kills):
            e.before = ()
        return states + e.before, None, why

    def judge_states(self, snapshot):
        bad = []
        there = {s['endpoint']: s for s in snapshot['endpoints']}
        for name, e in self.endpoints.items():
            states, channel, why = self.expected(e)
            got = there.get(name)
            if states is None:
                bad.append(f'channel: {name}: {why}; the snapshot has {got}')
            elif got is None:
                if e.conns:
                    bad.append(f'state: {name} is missing; {why}')
            elif got['state'] not in states:
                bad.append(f'state: {name} is {got["state"]}, must be '
                           f'{" or ".join(states)}: {why}; the snapshot has '
                           f'{got}')
            elif channel is not None and got['channel'] != channel:
                bad.append(f'channel: {name}: the device has channel '
                           f'{channel}, the snapshot {got}')
            elif e.conns and got['channel'] < max(e.channels):
                bad.append(f'channel: {name} had channel '
                           f'{max(e.channels)}, the snapshot has {got}')
        for name in there:
            if name not in self.endpoints:
                bad.append(f'state: nobody ever was {name}: {there[name]}')
        return bad

    def judge_events(self, snapshot):
        bad = []
        epoch = snapshot['epoch']
        got = self.received.get(epoch, set())
        top = max(got, default=0)
        heard = max(top, self.alive[1] if self.alive[0] == epoch else 0)
        if heard < snapshot['seq']:
            bad.append(f'event: the snapshot is at {snapshot["seq"]}, '
                       f'subscribers have heard of {heard} only')
        for s in snapshot['endpoints']:
            seq = s.get('seq', 0)
            e = self.last.get(seq)
            if seq not in got:
                continue        # a number that is missing: the gap shows
            if e is None or e['endpoint'] != s['endpoint']:
                bad.append(f'event: {seq} is said to be of {s["endpoint"]}, '
                           f'but it was {e}')
            elif (e['state'], e['channel'], e['revision']) != (
                    s['state'], s['channel'], s['revision']):
                bad.append(f'event: {s} but its event was {e}')
        return bad

    def judge_store(self, path, snapshot):
        """Read-only; what is in the WAL counts as stored."""
        online = {s['endpoint'] for s in snapshot['endpoints']
                  if s['state'] == 'online'}
        db = sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=20)
        try:
            return self.kept.judge(db, online)
        finally:
            db.close()

    def figures(self):
        """What was looked at, for the report."""
        return {'endpoints': len(self.endpoints),
                'channels': sum(len(e.channels)
                                for e in self.endpoints.values()),
                'events': self.events, 'gaps in them': self.gaps,
                **self.kept.figures()}

    def judge(self, snapshot, database):
        """Everything that is wrong, one line each."""
        self.read()
        bad = self.judge_states(snapshot) + self.judge_events(snapshot)
        # The database grows; while the rest is not right it can wait.
        if not bad and not self.hard:
            bad = self.judge_store(database, snapshot)
        return self.hard + bad
