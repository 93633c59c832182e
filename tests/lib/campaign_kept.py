# SPDX-License-Identifier: Apache-2.0
"""The part of the judge that knows what has to be in the database: telemetry,
commands, inventories, credentials.  campaign_check.py feeds it with the lines
of world and devices; it reads the database, and nothing else, for itself."""
import json

OUTCOMES = {2: 'ok', 3: 'error', 4: 'expired', 5: 'cancelled',
            6: 'interrupted'}
BY_DEVICE = ('ok', 'error', 'interrupted')
LATE_MS = 5000                  # an outcome may come so much after a deadline


def merge(doc, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    doc = dict(doc) if isinstance(doc, dict) else {}
    for k, v in patch.items():
        if v is None:
            doc.pop(k, None)
        else:
            doc[k] = merge(doc.get(k), v)
    return doc


class Report:
    """What one endpoint reported."""

    def __init__(self):
        self.sent, self.stored = {}, 0      # sent: not seen stored yet
        self.kept = 0               # last seq seen stored
        self.strange = {}           # stored, and not known to be sent
        self.doc, self.patch, self.revision = {}, None, 0


class Command:
    def __init__(self):
        self.name = self.until = None       # ordered for whom, until when
        self.since = 0
        self.asked = self.cancelled = False
        self.recorded = self.ran = self.done = self.final = None


class Kept:
    def __init__(self, hard):
        self.hard = hard            # never mended, for campaign_check.py
        self.reports = {}
        self.row = self.rows = self.clock = 0
        self.jumps = []             # [from, to or None] of the wall clock
        # Commands: those not judged for good, and those that are: outcome,
        # order (0: any), whether run, whether said to be never delivered.
        self.open, self.settled, self.tally = {}, {}, {}
        self.recorded, self.last = {}, {}   # endpoint: [id], order
        self.counts = dict.fromkeys(('taken', 'run', 'answered'), 0)
        # Credentials, by (endpoint, value) or number.
        self.enrolled, self.invited = {}, {}
        self.once = {}              # one-time token: who was let in
        self.guests = {}            # one-time token: who tried it
        self.revoking, self.revoked = set(), {}
        self.hellos, self.refused, self.live = [], [], {}

    # ---- reading

    def world(self, w):
        self.clock = max(self.clock, w['t'])
        what = w['what']
        if what == 'ordered':
            c = self.command(w['cid'])
            c.name, c.since = w['id'], w['since']
            c.until = w['t'] + w['left']
            self.counts['taken'] += 1
        elif what == 'cancelling' and w['cid'] in self.open:
            self.open[w['cid']].asked = True
        elif what == 'cancelled' and w['cid'] in self.open:
            self.open[w['cid']].cancelled = w['status']
        elif what == 'cancelled' and w['status'] == 404:
            self.hard.append(f'command: {w["cid"]} had ended, then: {w}')
        elif what == 'jump':
            self.jumps.append([w['t'], None])
        elif what == 'jumped':
            self.jumps[-1][1] = w['t']
        elif what == 'invited':
            self.invited[w['once']] = w['since']
        elif what == 'revoking':
            self.revoking.add(w['number'])
        elif what == 'revoked':
            self.revoked.setdefault(w['number'], w['t'])

    def command(self, cid):
        if cid in self.settled:
            self.hard.append(f'command: {cid} came again after its end')
        return self.open.setdefault(cid, Command())

    def device(self, d):
        what = d['what']
        self.clock = max(self.clock, d['t'])
        if what in ('recorded', 'ran', 'done', 'final'):
            self.device_command(d)
        elif what in ('sent', 'stored', 'patch', 'described'):
            self.device_report(self.reports.setdefault(d['id'], Report()), d)
        elif what == 'hello':
            self.live[d['conn']] = (d['id'], d['cred'], d['t'], d['once'])
            if d['once']:
                self.guests.setdefault(d['once'], []).append(
                    (d['id'], d['cred'] or d['conn']))
        elif what == 'enrolled':
            self.device_enrolled(d)
        elif what == 'up' and d['conn'] in self.live:
            self.hellos.append((*self.live[d['conn']][:3], d['conn']))
        elif what == 'refused' and d['code'] == -32001:
            self.refused.append(self.live.pop(d['conn'],
                                              (d['id'], '', 0, None)))
        elif what in ('down', 'failed'):
            self.live.pop(d['conn'], None)

    def device_enrolled(self, d):
        key = d['id'], d['cred']
        self.enrolled[key] = d['t']
        self.live[d['conn']] = (*key, d['t'], d['once'])
        # A key may ask again until it has its answer.
        if self.once.setdefault(d['once'], key) != key:
            self.hard.append(f'identity: one one-time token let in '
                             f'{self.once[d["once"]]} and {d}')

    def device_report(self, r, d):
        what = d['what']
        if what == 'sent':
            r.sent[d['seq']] = d['data']
        elif what == 'stored':
            r.stored = max(r.stored, d['n'])
        elif what == 'patch':
            r.patch = d['patch']
        else:
            r.doc, r.patch = merge(r.doc, r.patch), None
            if d['revision'] <= r.revision:
                self.hard.append(f'inventory: {d["id"]} was at revision '
                                 f'{r.revision}, then {d}')
            r.revision = d['revision']

    def device_command(self, d):
        if d['cid'] in self.settled:
            self.device_late(d, self.settled[d['cid']])
            return
        c = self.command(d['cid'])
        if d['what'] == 'recorded':
            c.recorded = d['id']
            self.recorded.setdefault(d['id'], []).append(d['cid'])
        elif d['what'] == 'ran':
            if c.ran:
                self.hard.append(f'command: {d["cid"]} was run twice: {d}')
            c.ran = d['id']
            self.counts['run'] += 1
        elif d['what'] == 'done':
            c.done = d['outcome']
        else:
            if c.final not in (None, d['final']):
                self.hard.append(f'command: {d["cid"]} ended as {c.final} '
                                 f'and as {d["final"]}: {d}')
            self.counts['answered'] += c.final is None
            c.final = d['final']

    def device_late(self, d, was):
        """An expired or cancelled one may still be on its way to a device."""
        kept, order, ran, never = was
        if d['what'] == 'final':
            wrong = d['final'] != kept
        else:
            wrong = kept in BY_DEVICE or never or \
                d['what'] == 'ran' and ran
            self.settled[d['cid']] = (kept, order, ran or d['what'] == 'ran',
                                      never)
        if wrong:
            self.hard.append(f'command: {d["cid"]} was {kept}'
                             f'{" before it was delivered" * never}, then '
                             f'{d}')

    # ---- judging

    def judge(self, db, online):
        return self.judge_telemetry(db) + self.judge_inventory(db) + \
            self.judge_commands(db, online) + self.judge_identity(db)

    def judge_telemetry(self, db):
        """Each row is read once; rows that vanish later show in their number
        (a campaign's daemon is told to keep all)."""
        for row, name, seq, text in db.execute(
                'SELECT rowid, endpoint, seq, json FROM telemetry '
                'WHERE rowid > ? ORDER BY rowid', (self.row,)):
            self.row = row
            self.rows += 1
            r = self.reports.setdefault(name, Report())
            if seq <= r.kept:
                self.hard.append(f'telemetry: {name} has {seq} behind '
                                 f'{r.kept}')
            r.kept = max(r.kept, seq)
            r.strange[seq] = text
        bad = []
        (there,) = db.execute('SELECT count(*) FROM telemetry').fetchone()
        if there < self.rows:
            bad.append(f'telemetry: {self.rows} rows were seen, there are '
                       f'{there}')
        for name, r in self.reports.items():
            for seq in [s for s in r.strange if s in r.sent]:
                text, was = r.strange.pop(seq), r.sent.pop(seq)
                if json.loads(text) != was:
                    self.hard.append(f'telemetry: {name}: {seq} is {text}, '
                                     f'was {was}')
            bad += [f'telemetry: {name} never sent {seq}'
                    for seq in r.strange]
            bad += [f'telemetry: {name}: {seq} was acknowledged (up to '
                    f'{r.stored}) and is not stored'
                    for seq in r.sent if seq <= r.stored]
        return bad

    def judge_inventory(self, db):
        """What was acknowledged, with or without the patch under way."""
        there = {name: (json.loads(text), revision)
                 for name, text, revision in db.execute(
                     'SELECT i.endpoint, i.json, e.inventory_revision FROM '
                     'inventory i JOIN endpoint e ON e.id = i.endpoint')}
        bad = []
        for name, r in self.reports.items():
            doc, revision = there.pop(name, ({}, 0))
            fits = doc == r.doc or r.patch is not None and \
                doc == merge(r.doc, r.patch)
            if not fits or revision < r.revision:
                bad.append(f'inventory: {name} is {doc} at {revision}, '
                           f'acknowledged was {r.doc} at {r.revision}, under '
                           f'way is {r.patch}')
        return bad + [f'inventory: {name} never sent one' for name in there]

    def jumped(self, since):
        """The wall clock was wrong between then and now."""
        return any(to is None or to >= since for _, to in self.jumps[-50:])

    def judge_commands(self, db, online):
        """Those that have ended well are counted from then on: a change
        shows in the tally."""
        bad = []
        for cid, c in list(self.open.items()):
            row = db.execute(
                'SELECT endpoint, state, ord, deadline_ms, changed_ms, '
                'cancelling, message FROM command WHERE id = ?',
                (cid,)).fetchone()
            wrong = self.judge_command(c, row, online)
            bad += [f'command: {cid} {x}' for x in wrong]
            if not wrong and row and row[1] in OUTCOMES and \
                    (c.done is None or c.final):
                kept = OUTCOMES[row[1]]
                self.settled[cid] = (
                    kept, row[2] if kept in BY_DEVICE and not c.asked else 0,
                    bool(c.ran), kept == 'cancelled' and
                    'before it' in row[6])
                self.tally[row[1]] = self.tally.get(row[1], 0) + 1
                del self.open[cid]
        self.judge_order()
        there = dict(db.execute(
            'SELECT state, count(*) FROM command GROUP BY state'))
        return bad + [
            f'command: {n} had ended as {OUTCOMES[state]}, now there are '
            f'{there.get(state, 0)}' for state, n in self.tally.items()
            if n > there.get(state, 0)]

    def judge_command(self, c, row, online):
        if row is None:
            return [f'was {"taken" if c.name else "run"} and is not in the '
                    f'database'] if c.name or c.ran or c.final else []
        name, state, _, deadline, changed, cancelling, message = row
        kept = OUTCOMES.get(state)
        steady = not self.jumped(c.since)
        wrong = []
        if kept is None and name in online:
            wrong.append(f'is open, though {name} is online')
        if kept is None and c.until and steady and \
                self.clock > c.until + LATE_MS:
            wrong.append('is open, though its deadline is over')
        if c.final not in (None, kept):
            wrong.append(f'ended as {c.final} for its device, as {kept} in '
                         f'the database')
        if c.ran not in (None, name):
            wrong.append(f'is for {name}, {c.ran} ran it')
        if kept in BY_DEVICE and c.done != kept:
            wrong.append(f'is {kept}, its device says {c.done}')
        if steady and kept and (changed < deadline if kept == 'expired' else
                                kept in BY_DEVICE and changed >= deadline):
            wrong.append(f'is {kept} since {changed}, its deadline was '
                         f'{deadline}')
        if kept == 'cancelled' and not c.asked:
            wrong.append('was cancelled by nobody')
        if kept == 'cancelled' and c.recorded and 'before it' in message:
            wrong.append(f'is cancelled "{message}", {c.recorded} had it')
        if c.cancelled == 202 and not (kept or cancelling) or \
                c.cancelled == 409 and not kept or c.cancelled == 404:
            wrong.append(f'a cancel was answered with {c.cancelled}; it is '
                         f'{kept or state}')
        return wrong

    def judge_order(self):
        """An endpoint's commands come in the order they were given."""
        for name, cids in self.recorded.items():
            while cids and cids[0] in self.settled:
                cid = cids.pop(0)
                _, order, *_ = self.settled[cid]
                if 0 < order < self.last.get(name, 0):
                    self.hard.append(f'command: {cid} came to {name} after a '
                                     f'later one')
                self.last[name] = max(order, self.last.get(name, 0))

    # ---- credentials

    def judge_identity(self, db):
        rows = {(name, value.hex()): (number, revoked)
                for number, name, value, revoked in db.execute(
                    'SELECT number, endpoint, value, revoked '
                    'FROM credential')}
        bad = [f'identity: {key} was enrolled and is not in the database'
               for key in self.enrolled if key not in rows]
        for key, (number, revoked) in rows.items():
            if revoked and number not in self.revoking:
                bad.append(f'identity: {number} of {key} was revoked by '
                           f'nobody')
            if number in self.revoked and not revoked:
                bad.append(f'identity: {number} of {key} was revoked, the '
                           f'database holds it good')
        for name, cred, t, conn in self.hellos:
            number, _ = rows.get((name, cred), (None, 0))
            if t > self.revoked.get(number, t):
                self.hard.append(f'identity: {name} was let in with {number} '
                                 f'after it was revoked, connection {conn}')
        # Once more, because world and devices are not read at one moment.
        self.hellos = self.hellos[-500:]
        for conn, (name, cred, *_) in self.live.items():
            number, _ = rows.get((name, cred), (None, 0))
            if number in self.revoked:
                bad.append(f'identity: {number} was revoked, yet {name} is '
                           f'there with it, connection {conn}')
        for who in self.refused:
            if not self.may_refuse(rows, *who):
                self.hard.append(f'identity: turned away without a reason: '
                                 f'{who}')
        self.refused = []
        return bad

    def may_refuse(self, rows, name, cred, t, once):
        number, revoked = rows.get((name, cred), (None, 1))
        if not revoked:
            return number in self.revoking
        if once is None:
            return number is not None
        # A one-time token is refused when it is somebody's already, is over,
        # or somebody is this endpoint.
        return len(set(self.guests[once])) > 1 or \
            once not in self.invited or self.jumped(self.invited[once]) or \
            any(other == name and not off
                for (other, _), (_, off) in rows.items())

    def figures(self):
        return {'telemetry stored': self.rows,
                'inventory revisions': sum(
                    r.revision for r in self.reports.values()),
                'commands taken': self.counts['taken'],
                'commands run': self.counts['run'],
                'outcomes answered': self.counts['answered'],
                **{f'commands that ended {k}': self.tally.get(n, 0)
                   for n, k in OUTCOMES.items()},
                'enrolments': len(self.enrolled),
                'credentials revoked': len(self.revoked)}
