# SPDX-License-Identifier: Apache-2.0
"""The judge of a campaign.  Compares what devices wrote down with what the daemon
says (snapshot, events) and keeps (the database, read-only).  It shares no code
with daemon, fleet or harness; its inputs are files:

    world.jsonl     starts, ends and disturbances, by whoever made them
    devices.jsonl   what devices did and were told
    events.jsonl    what a subscriber got, and where it began to listen anew
    snapshot.json   {"epoch", "seq", "endpoints"} when all had come to rest

Rules, each with planted violations in PLANTED:
    state       no state is wrong after its bound
    channel     channel numbers only rise; one live channel an endpoint
    epoch       every start has a number of its own, rising
    event       every event is there, or its loss shows; none comes late
    telemetry   nothing acknowledged is missing, twice or different
    command     one outcome; never run twice against its recorded id
"""
import json
import os
import sqlite3

STATES = ('unknown', 'online', 'suspect', 'offline', 'asleep', 'disconnected',
          'unlinked')
OUTCOMES = {2: 'ok', 3: 'error', 4: 'expired', 5: 'cancelled',
            6: 'interrupted'}
# What was announced less than this before a kill may not have been stored, by
# contract: presence is stored behind its change.
SOFT_MS = 3000


class Endpoint:
    def __init__(self):
        self.channels = set()       # numbers that were given, ever
        self.conns = {}             # number: channel; without what is past
        self.down = {}              # number: (t, how, code)
        self.tried = {}             # number: t, of those without an answer
        self.said = {}              # number: (t, bye|sleep, until)
        self.asked = {}             # number: bye|sleep, answered or not
        self.sent, self.stored = {}, 0      # sent: not seen stored yet
        self.kept = 0               # last seq seen stored
        self.strange = {}           # stored, and not known to be sent
        self.up_t = {}

    def forget_past(self):
        """Connections that were over before the newest one."""
        newest = max(self.conns, key=lambda c: self.conns[c])
        for c in [c for c in self.conns if c != newest and c in self.down]:
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
        self.epochs, self.kills, self.starts = [], [], []
        self.received = {}          # epoch: set of seq
        self.last = {}              # (epoch, seq): event
        self.newest = {}            # endpoint: (revision, channel, epoch)
        self.alive = (0, 0)
        self.now_epoch, self.now_seq = 0, 0
        self.ordered, self.ran, self.finals = {}, {}, {}
        self.events = self.row = self.rows = 0
        self.online = set()
        self.hard = []              # found while reading; never mended

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
        for d in self.lines('devices.jsonl'):
            self.device(self.endpoints.setdefault(d['id'], Endpoint()), d)
        for e in self.lines('events.jsonl'):
            self.event(e)

    def world(self, w):
        if w['what'] == 'started':
            if self.epochs and w['epoch'] <= self.epochs[-1]:
                self.hard.append(f'epoch: {w["epoch"]} after '
                                 f'{self.epochs[-1]}')
            self.epochs.append(w['epoch'])
            self.starts.append(w['t'])
        elif w['what'] == 'ordered':
            self.ordered[w['cid']] = w['id']
        elif w['what'] == 'killed':
            self.kills.append(w['t'])

    def device(self, e, d):
        what = d['what']
        if what == 'up':
            if d['channel'] in e.channels:
                self.hard.append(f'channel: {d["id"]} was given number '
                                 f'{d["channel"]} twice: {d}')
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
        elif what == 'sent':
            e.sent[d['seq']] = d['data']
        elif what == 'stored':
            e.stored = max(e.stored, d['n'])
        elif what == 'ran':
            if d['cid'] in self.ran:
                self.hard.append(f'command: {d["cid"]} was run twice: {d}')
            self.ran[d['cid']] = d['id']
        elif what == 'final':
            old = self.finals.setdefault(d['cid'], d['final'])
            if old != d['final']:
                self.hard.append(f'command: {d["cid"]} ended as {old} and as '
                                 f'{d["final"]}: {d}')

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

    def killed_soon_after(self, t):
        return any(t - 1 <= k <= t + SOFT_MS for k in self.kills)

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
            if live[0] != newest:
                return None, None, (f'connection {live[0]} is open, though '
                                    f'{newest} has replaced it')
            return ('online',), number, f'connection {live[0]} is open'
        t, how, code = e.down[newest]
        why = f'connection {newest} ended: {how} {code}'
        states = ('disconnected',)
        if newest in e.said:
            _, what, _ = e.said[newest]
            states = ('offline',) if what == 'bye' else ('asleep',)
            # sleep is answered when it is durable, bye is not.
            if what == 'bye' and self.killed_soon_after(t):
                states += ('disconnected',)
        # One that had no answer may have been let in all the same.
        if any(e.up_t[newest] <= at for at in e.tried.values()):
            states += ('disconnected',)
        # A farewell without an answer may have been heard.
        if newest in e.asked and newest not in e.said:
            states += ('offline' if e.asked[newest] == 'bye' else 'asleep',)
        return states, None, why

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

    def note_online(self, snapshot):
        self.online = {s['endpoint'] for s in snapshot['endpoints']
                       if s['state'] == 'online'}

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

    def judge_store(self, path):
        """Read-only; what is in the WAL counts as stored."""
        if not os.path.exists(path):
            return ['telemetry: there is no database'] if any(
                e.stored for e in self.endpoints.values()) else []
        db = sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=20)
        try:
            return self.judge_telemetry(db) + self.judge_commands(db)
        finally:
            db.close()

    def judge_telemetry(self, db):
        """Each row is read once; rows that vanish later show in their number
        (a campaign's daemon is told to keep all)."""
        for row, name, seq, text in db.execute(
                'SELECT rowid, endpoint, seq, json FROM telemetry '
                'WHERE rowid > ? ORDER BY rowid', (self.row,)):
            self.row = row
            self.rows += 1
            e = self.endpoints.setdefault(name, Endpoint())
            if seq <= e.kept:
                self.hard.append(f'telemetry: {name} has {seq} behind '
                                 f'{e.kept}')
            e.kept = max(e.kept, seq)
            e.strange[seq] = text
        bad = []
        (there,) = db.execute('SELECT count(*) FROM telemetry').fetchone()
        if there < self.rows:
            bad.append(f'telemetry: {self.rows} rows were seen, there are '
                       f'{there}')
        for name, e in self.endpoints.items():
            for seq in [s for s in e.strange if s in e.sent]:
                text, was = e.strange.pop(seq), e.sent.pop(seq)
                if json.loads(text) != was:
                    self.hard.append(f'telemetry: {name}: {seq} is {text}, '
                                     f'was {was}')
            bad += [f'telemetry: {name} never sent {seq}'
                    for seq in e.strange]
            bad += [f'telemetry: {name}: {seq} was acknowledged (up to '
                    f'{e.stored}) and is not stored'
                    for seq in e.sent if seq <= e.stored]
        return bad + [x for x in self.hard if x.startswith('telemetry')]

    def judge_commands(self, db):
        bad = []
        rows = {r[0]: (r[1], r[2]) for r in db.execute(
            'SELECT id, endpoint, state FROM command')}
        for cid, name in self.ordered.items():
            if cid not in rows:
                bad.append(f'command: {cid} for {name} was taken and is not '
                           f'in the database')
            elif rows[cid][1] not in OUTCOMES and name in self.online:
                bad.append(f'command: {cid} is open, though {name} is '
                           f'online')
        for cid, final in self.finals.items():
            row = rows.get(cid)
            kept = OUTCOMES.get(row[1]) if row else None
            if kept != final:
                bad.append(f'command: {cid} ended as {final} for its device, '
                           f'as {kept} in the database')
        for cid, name in self.ran.items():
            if cid not in rows:
                bad.append(f'command: {cid} was run by {name} and is not in '
                           f'the database')
            elif rows[cid][0] != name:
                bad.append(f'command: {cid} is for {rows[cid][0]}, {name} '
                           f'ran it')
        return bad

    def figures(self):
        """What was looked at, for the report."""
        all_of = self.endpoints.values()
        return {'endpoints': len(self.endpoints),
                'channels': sum(len(e.channels) for e in all_of),
                'events': self.events,
                'telemetry stored': self.rows,
                'commands taken': len(self.ordered),
                'commands run': len(self.ran),
                'outcomes answered': len(self.finals)}

    def judge(self, snapshot, database):
        """Everything that is wrong, one line each."""
        self.read()
        self.note_online(snapshot)
        bad = self.hard + self.judge_states(snapshot) + \
            self.judge_events(snapshot)
        # The database grows; while the rest is not right it can wait.
        return bad if bad and not self.hard else \
            bad + self.judge_store(database)


# ---- planted violations: each must be found, and by its rule --------------------

def small():
    """A campaign of three devices in which all is well."""
    world = [{'t': 0, 'what': 'started', 'epoch': 1},
             {'t': 8, 'what': 'ordered', 'cid': 'k', 'id': 'a'},
             {'t': 8, 'what': 'ordered', 'cid': 'l', 'id': 'c'}]
    devices = [
        {'t': 1, 'dev': 0, 'id': 'a', 'what': 'try', 'conn': 1},
        {'t': 2, 'dev': 0, 'id': 'a', 'what': 'up', 'conn': 1, 'channel': 1,
         'epoch': 1, 'security': 'ws'},
        {'t': 2, 'dev': 1, 'id': 'b', 'what': 'up', 'conn': 2, 'channel': 1,
         'epoch': 1, 'security': 'ws'},
        {'t': 3, 'dev': 1, 'id': 'b', 'what': 'bye', 'conn': 2},
        {'t': 4, 'dev': 1, 'id': 'b', 'what': 'down', 'conn': 2, 'how': 'bye',
         'code': 1000},
        {'t': 5, 'dev': 2, 'id': 'c', 'what': 'up', 'conn': 3, 'channel': 1,
         'epoch': 1, 'security': 'ws'},
        {'t': 6, 'dev': 2, 'id': 'c', 'what': 'down', 'conn': 3,
         'how': 'reset', 'code': 0},
        {'t': 7, 'dev': 0, 'id': 'a', 'what': 'sent', 'seq': 1, 'data': [1]},
        {'t': 8, 'dev': 0, 'id': 'a', 'what': 'stored', 'n': 1},
        {'t': 9, 'dev': 0, 'id': 'a', 'what': 'recorded', 'cid': 'k'},
        {'t': 9, 'dev': 0, 'id': 'a', 'what': 'ran', 'cid': 'k'},
        {'t': 10, 'dev': 0, 'id': 'a', 'what': 'final', 'cid': 'k',
         'final': 'ok', 'mine': 'ok'}]
    events = [
        {'epoch': 1, 'seq': 1, 'type': 'daemon.started'},
        {'epoch': 1, 'seq': 2, 'endpoint': 'a', 'state': 'online',
         'channel': 1, 'revision': 1},
        {'epoch': 1, 'seq': 3, 'endpoint': 'b', 'state': 'online',
         'channel': 1, 'revision': 1},
        {'epoch': 1, 'seq': 4, 'endpoint': 'b', 'state': 'offline',
         'channel': 1, 'revision': 2},
        {'epoch': 1, 'seq': 5, 'endpoint': 'c', 'state': 'online',
         'channel': 1, 'revision': 1},
        {'epoch': 1, 'seq': 6, 'endpoint': 'c', 'state': 'disconnected',
         'channel': 1, 'revision': 2},
        {'epoch': 1, 'alive': 6}]
    snapshot = {'epoch': 1, 'seq': 6, 'endpoints': [
        {'endpoint': 'a', 'state': 'online', 'channel': 1, 'revision': 1,
         'seq': 2},
        {'endpoint': 'b', 'state': 'offline', 'channel': 1, 'revision': 2,
         'seq': 4},
        {'endpoint': 'c', 'state': 'disconnected', 'channel': 1,
         'revision': 2, 'seq': 6}]}
    tables = {'telemetry': [('a', 1, '[1]')], 'command': [('k', 'a', 2), ('l', 'c', 0)]}
    return world, devices, events, snapshot, tables


def _state(i, state):
    def plant(w, d, e, s, t):
        s['endpoints'][i]['state'] = state
        for x in e:
            if x.get('seq') == s['endpoints'][i]['seq']:
                x['state'] = state
    return plant


def _again(d, channel):
    d.append({'t': 20, 'dev': 3, 'id': 'a', 'what': 'up', 'conn': 9,
              'channel': channel, 'epoch': 1, 'security': 'ws'})


PLANTED = [
    ('state', 'a zombie: reset, yet online', _state(2, 'online')),
    ('state', 'a lie: connected, yet disconnected', _state(0, 'disconnected')),
    ('state', 'a farewell that was lost', _state(1, 'disconnected')),
    ('state', 'unknown for ever', _state(0, 'unknown')),
    ('state', 'suspect for ever', _state(0, 'suspect')),
    ('state', 'an endpoint that is missing',
     lambda w, d, e, s, t: s['endpoints'].pop(0)),
    ('state', 'an endpoint that never was',
     lambda w, d, e, s, t: s['endpoints'].append(
         {'endpoint': 'x', 'state': 'online', 'channel': 1, 'revision': 1,
          'seq': 99})),
    ('channel', 'two live channels', lambda w, d, e, s, t: _again(d, 2)),
    ('channel', 'a number given twice', lambda w, d, e, s, t: _again(d, 1)),
    ('channel', 'another number in the snapshot',
     lambda w, d, e, s, t: (s['endpoints'][0].update(channel=7),
                            e[1].update(channel=7))),
    ('epoch', 'an epoch that comes again',
     lambda w, d, e, s, t: w.append({'t': 9, 'what': 'started', 'epoch': 1})),
    ('event', 'a late word of an old channel',
     lambda w, d, e, s, t: e.insert(-1, {
         'epoch': 1, 'seq': 7, 'endpoint': 'a', 'state': 'disconnected',
         'channel': 0, 'revision': 2})),
    ('event', 'a revision that falls',
     lambda w, d, e, s, t: e.insert(-1, {
         'epoch': 1, 'seq': 7, 'endpoint': 'b', 'state': 'offline',
         'channel': 1, 'revision': 1})),
    ('event', 'an event twice', lambda w, d, e, s, t: e.insert(3, e[2])),
    ('event', 'events out of order',
     lambda w, d, e, s, t: e.insert(1, e.pop(2))),
    ('event', 'a loss at the end that nobody hears of',
     lambda w, d, e, s, t: (e.pop(), e.pop())),
    ('event', 'a snapshot that differs from its event',
     lambda w, d, e, s, t: e[5].update(state='asleep')),
    ('telemetry', 'an acknowledged message that is missing',
     lambda w, d, e, s, t: t['telemetry'].clear()),
    ('telemetry', 'one that is stored twice',
     lambda w, d, e, s, t: t['telemetry'].append(('a', 1, '[1]'))),
    ('telemetry', 'one that was changed',
     lambda w, d, e, s, t: t['telemetry'].__setitem__(0, ('a', 1, '[2]'))),
    ('telemetry', 'one that was never sent',
     lambda w, d, e, s, t: t['telemetry'].append(('a', 5, '[5]'))),
    ('command', 'a command run twice',
     lambda w, d, e, s, t: d.append({**d[-2], 't': 30})),
    ('command', 'two outcomes', lambda w, d, e, s, t: d.append(
        {**d[-1], 'final': 'expired'})),
    ('command', 'another outcome in the database',
     lambda w, d, e, s, t: t['command'].__setitem__(0, ('k', 'a', 4))),
    ('command', 'a command that is not in the database',
     lambda w, d, e, s, t: t['command'].pop(0)),
    ('command', 'one that was taken and lost before it was run',
     lambda w, d, e, s, t: t['command'].pop(1)),
    ('command', 'one that stays open though the device is online',
     lambda w, d, e, s, t: (w.append({'t': 9, 'what': 'ordered', 'cid': 'm',
                                      'id': 'a'}),
                            t['command'].append(('m', 'a', 1)))),
    ('command', 'a command run by another device',
     lambda w, d, e, s, t: t['command'].__setitem__(0, ('k', 'b', 2))),
]
# These are no violations.
ALLOWED = [
    ('a gap that shows', lambda w, d, e, s, t: e.pop(3)),
    ('a loss at the end that bus.alive tells',
     lambda w, d, e, s, t: e.pop(5)),
    ('a farewell just before a kill',
     lambda w, d, e, s, t: (w.append({'t': 5, 'what': 'killed'}),
                            _state(1, 'disconnected')(w, d, e, s, t))),
    ('a farewell that was heard and not answered',
     lambda w, d, e, s, t: (
         d.append({'t': 5, 'dev': 2, 'id': 'c', 'what': 'asks', 'conn': 3,
                   'method': 'sleep'}), _state(2, 'asleep')(w, d, e, s, t))),
    ('telemetry that was stored and its answer lost',
     lambda w, d, e, s, t: d.__delitem__(8)),
]


def trial(directory, plant):
    """What the judge says of the small campaign with `plant` in it."""
    world, devices, events, snapshot, tables = small()
    plant(world, devices, events, snapshot, tables)
    os.makedirs(directory)
    for name, lines in (('world', world), ('devices', devices),
                        ('events', events)):
        with open(os.path.join(directory, name + '.jsonl'), 'w',
                  encoding='utf-8') as f:
            f.writelines(json.dumps(x) + '\n' for x in lines)
    path = os.path.join(directory, 'cleat.db')
    db = sqlite3.connect(path)
    db.execute('CREATE TABLE telemetry (endpoint, seq, json)')
    db.execute('CREATE TABLE command (id, endpoint, state)')
    db.executemany('INSERT INTO telemetry VALUES (?, ?, ?)',
                   tables['telemetry'])
    db.executemany('INSERT INTO command VALUES (?, ?, ?)', tables['command'])
    db.commit()
    db.close()
    return Judge(directory).judge(snapshot, path)


def prove(directory):
    """Lines about what was planted and not found, or found and not planted."""
    missed = [f'all is well: {x}' for x in trial(
        os.path.join(directory, 'well'), lambda *_: None)]
    for n, (rule, name, plant) in enumerate(PLANTED):
        found = trial(os.path.join(directory, str(n)), plant)
        if not any(x.startswith(rule + ':') for x in found):
            missed.append(f'not found: {name}: {found}')
    for n, (name, plant) in enumerate(ALLOWED):
        missed += [f'{name}: {x}' for x in trial(
            os.path.join(directory, f'ok{n}'), plant)]
    return missed
