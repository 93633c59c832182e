# SPDX-License-Identifier: Apache-2.0
"""What the judge of a campaign is worth: a small campaign in which all is well,
and violations planted into it.  Each must be found, and by its rule; what only
looks like one must not be."""
import json
import os
import sqlite3

from campaign_check import Judge

COLUMNS = {
    'telemetry': 'endpoint, seq, json',
    'command': 'id, endpoint, state, ord, deadline_ms, changed_ms, '
               'cancelling, message',
    'endpoint': 'id, inventory_revision',
    'inventory': 'endpoint, json',
    'credential': 'number, endpoint, value, revoked'}
KEY_C, KEY_G = 'cc' * 32, 'dd' * 32


def device(t, name, what, **more):
    return {'t': t, 'dev': 'abcg'.index(name), 'id': name, 'what': what,
            **more}


def up(t, name, conn, channel, **more):
    return device(t, name, 'up', conn=conn, channel=channel, epoch=1,
                  security='ws', **more)


def event(seq, name, state, channel, revision):
    return {'epoch': 1, 'seq': seq, 'endpoint': name, 'state': state,
            'channel': channel, 'revision': revision}


def small():
    """a is there, b has said bye, c was revoked, g has enrolled."""
    world = [
        {'t': 0, 'what': 'started', 'epoch': 1},
        {'t': 1, 'what': 'invited', 'since': 1, 'once': 'o-c'},
        {'t': 2, 'what': 'invited', 'since': 2, 'once': 'o-g'},
        {'t': 5, 'what': 'revoking', 'id': 'c', 'number': 1},
        {'t': 6, 'what': 'revoked', 'id': 'c', 'number': 1},
        {'t': 8, 'what': 'ordered', 'cid': 'k', 'id': 'a', 'since': 7,
         'left': 1000},
        {'t': 8, 'what': 'ordered', 'cid': 'l', 'id': 'c', 'since': 7,
         'left': 90000},
        {'t': 9, 'what': 'ordered', 'cid': 'x', 'id': 'b', 'since': 8,
         'left': 1000},
        {'t': 9, 'what': 'ordered', 'cid': 'y', 'id': 'b', 'since': 8,
         'left': 90000},
        {'t': 10, 'what': 'cancelling', 'cid': 'y'},
        {'t': 11, 'what': 'cancelled', 'cid': 'y', 'status': 202}]
    devices = [
        device(1, 'a', 'try', conn=1),
        up(2, 'a', 1, 1),
        up(2, 'b', 2, 1),
        device(3, 'b', 'bye', conn=2),
        device(4, 'b', 'down', conn=2, how='bye', code=1000),
        device(4, 'c', 'hello', conn=3, cred=KEY_C, once='o-c'),
        device(5, 'c', 'enrolled', conn=3, cred=KEY_C, once='o-c'),
        up(5, 'c', 3, 1),
        device(6, 'c', 'down', conn=3, how='closed', code=4005),
        device(7, 'a', 'sent', seq=1, data=[1]),
        device(8, 'a', 'stored', n=1),
        device(8, 'a', 'patch', patch={'m': {'n': 1, 'o': None}}),
        device(8, 'a', 'described', revision=1),
        device(9, 'g', 'hello', conn=4, cred=None, once='o-g'),
        device(9, 'g', 'enrolled', conn=4, cred=KEY_G, once='o-g'),
        up(9, 'g', 4, 1),
        device(9, 'a', 'recorded', cid='k'),
        device(9, 'a', 'ran', cid='k'),
        device(9, 'a', 'done', cid='k', outcome='ok'),
        device(10, 'a', 'final', cid='k', final='ok', mine='ok')]
    events = [
        {'epoch': 1, 'seq': 1, 'type': 'daemon.started'},
        event(2, 'a', 'online', 1, 1), event(3, 'b', 'online', 1, 1),
        event(4, 'b', 'offline', 1, 2), event(5, 'c', 'online', 1, 1),
        event(6, 'c', 'disconnected', 1, 2), event(7, 'g', 'online', 1, 1),
        {'epoch': 1, 'alive': 7}]
    snapshot = {'epoch': 1, 'seq': 7, 'endpoints': [
        {k: v for k, v in events[i].items() if k != 'epoch'}
        for i in (1, 3, 5, 6)]}
    tables = {
        'telemetry': [['a', 1, '[1]']],
        'command': [['k', 'a', 2, 1, 1007, 10, 0, ''],
                    ['l', 'c', 0, 2, 90007, 7, 0, ''],
                    ['x', 'b', 4, 3, 1008, 1009, 0, ''],
                    ['y', 'b', 5, 4, 90008, 10, 0,
                     'before it was delivered']],
        'endpoint': [['a', 1], ['b', 0], ['c', 0], ['g', 0]],
        'inventory': [['a', '{"m":{"n":1}}']],
        'credential': [[1, 'c', bytes.fromhex(KEY_C), 1],
                       [2, 'g', bytes.fromhex(KEY_G), 0]]}
    return world, devices, events, snapshot, tables


# ---- planting: (world, devices, events, snapshot, tables) ------------------

def state(i, name):
    def plant(w, d, e, s, t):
        s['endpoints'][i]['state'] = name
        for x in e:
            if x.get('seq') == s['endpoints'][i]['seq']:
                x['state'] = name
    return plant


def cell(table, row, column, value):
    return lambda w, d, e, s, t: t[table][row].__setitem__(column, value)


def add(table, *row):
    return lambda w, d, e, s, t: t[table].append(row)


def drop(table, row):
    return lambda w, d, e, s, t: t[table].pop(row)


def says(*lines):
    return lambda w, d, e, s, t: d.extend(lines)


def world(*lines):
    return lambda w, d, e, s, t: w.extend(lines)


def both(*plants):
    return lambda *a: [p(*a) for p in plants]


def ordered(cid, name, since, left):
    return world({'t': since, 'what': 'ordered', 'cid': cid, 'id': name,
                  'since': since, 'left': left})


def did(t, name, cid, outcome):
    return says(*(device(t, name, x, cid=cid) for x in ('recorded', 'ran')),
                device(t, name, 'done', cid=cid, outcome=outcome),
                device(t, name, 'final', cid=cid, final=outcome))


PLANTED = [
    ('state', 'a zombie: revoked, yet online', state(2, 'online')),
    ('state', 'a lie: connected, yet disconnected', state(0, 'disconnected')),
    ('state', 'a farewell that was lost', state(1, 'disconnected')),
    ('state', 'one that was lost because of a kill',
     both(world({'t': 5, 'what': 'killed'}), state(1, 'disconnected'))),
    ('state', 'an old farewell that outlasts the next channel',
     both(says(up(8, 'b', 9, 2), device(9, 'b', 'down', conn=9, how='reset',
                                        code=0)),
          lambda w, d, e, s, t: (e[3].update(channel=2),
                                 s['endpoints'][1].update(channel=2)))),
    ('state', 'unknown for ever', state(0, 'unknown')),
    ('state', 'suspect for ever', state(0, 'suspect')),
    ('state', 'an endpoint that is missing',
     lambda w, d, e, s, t: s['endpoints'].pop(0)),
    ('state', 'an endpoint that never was',
     lambda w, d, e, s, t: s['endpoints'].append(
         {'endpoint': 'z', 'state': 'online', 'channel': 1, 'revision': 1,
          'seq': 99})),
    ('channel', 'two live channels', says(up(20, 'a', 9, 2))),
    ('channel', 'a number given twice', says(up(20, 'a', 9, 1))),
    ('channel', 'another number in the snapshot',
     lambda w, d, e, s, t: (s['endpoints'][0].update(channel=7),
                            e[1].update(channel=7))),
    ('channel', 'one that was kicked and is still there',
     world({'t': 12, 'what': 'kicked', 'id': 'a', 'since': 11})),
    ('channel', 'one that outlasts a drain',
     world({'t': 12, 'what': 'drained', 'since': 11, 'window': 500})),
    ('epoch', 'an epoch that comes again',
     world({'t': 9, 'what': 'started', 'epoch': 1})),
    ('event', 'a late word of an old channel',
     lambda w, d, e, s, t: e.insert(-1, event(8, 'a', 'disconnected', 0, 2))),
    ('event', 'a revision that falls',
     lambda w, d, e, s, t: e.insert(-1, event(8, 'b', 'offline', 1, 1))),
    ('event', 'an event twice', lambda w, d, e, s, t: e.insert(3, e[2])),
    ('event', 'events out of order',
     lambda w, d, e, s, t: e.insert(1, e.pop(2))),
    ('event', 'a loss at the end that nobody hears of',
     lambda w, d, e, s, t: (e.pop(), e.pop())),
    ('event', 'a snapshot that differs from its event',
     lambda w, d, e, s, t: e[5].update(state='asleep')),
    ('telemetry', 'an acknowledged message that is missing',
     drop('telemetry', 0)),
    ('telemetry', 'one that is stored twice',
     add('telemetry', 'a', 1, '[1]')),
    ('telemetry', 'one that was changed', cell('telemetry', 0, 2, '[2]')),
    ('telemetry', 'one that was never sent',
     add('telemetry', 'a', 5, '[5]')),
    ('inventory', 'an acknowledged patch that is missing',
     cell('inventory', 0, 1, '{}')),
    ('inventory', 'a null that is kept',
     cell('inventory', 0, 1, '{"m":{"n":1,"o":null}}')),
    ('inventory', 'a document that is gone', drop('inventory', 0)),
    ('inventory', 'one that nobody sent', add('inventory', 'b', '{}')),
    ('inventory', 'a revision behind what was acknowledged',
     cell('endpoint', 0, 1, 0)),
    ('inventory', 'a revision given twice',
     says(device(9, 'a', 'patch', patch={'m': {'n': 1}}),
          device(9, 'a', 'described', revision=1))),
    ('inventory', 'an older patch that comes late',
     both(says(device(9, 'a', 'patch', patch={'m': 2}),
               device(9, 'a', 'described', revision=2)),
          cell('endpoint', 0, 1, 3))),
    ('command', 'a command run twice',
     says(device(30, 'a', 'ran', cid='k'))),
    ('command', 'two outcomes',
     says(device(30, 'a', 'final', cid='k', final='expired'))),
    ('command', 'another outcome in the database',
     cell('command', 0, 2, 4)),
    ('command', 'a command that is not in the database',
     drop('command', 0)),
    ('command', 'one that was taken and lost before it was run',
     drop('command', 1)),
    ('command', 'one that stays open though the device is online',
     both(ordered('m', 'a', 9, 90000),
          add('command', 'm', 'a', 1, 5, 90009, 9, 0, ''))),
    ('command', 'a command run by another device',
     cell('command', 0, 1, 'b')),
    ('command', 'an outcome that its device never gave',
     cell('command', 2, 2, 2)),
    ('command', 'one that expired before its deadline',
     cell('command', 2, 5, 1000)),
    ('command', 'one that was ok after its deadline',
     cell('command', 0, 5, 1007)),
    ('command', 'one that never expires',
     both(ordered('m', 'c', 9, 10), says(device(9000, 'a', 'try', conn=9)),
          add('command', 'm', 'c', 0, 5, 19, 9, 0, ''))),
    ('command', 'one that was cancelled by nobody',
     cell('command', 2, 2, 5)),
    ('command', 'a cancel that was taken and lost',
     cell('command', 3, 2, 0)),
    ('command', 'one cancelled before it was delivered, and run',
     did(9, 'b', 'y', 'cancelled')),
    ('command', 'one that the daemon no longer knew',
     lambda w, d, e, s, t: w[-1].update(status=404)),
    ('command', 'one that came before an earlier one',
     both(ordered('m', 'a', 9, 90000), ordered('n', 'a', 9, 90000),
          did(12, 'a', 'n', 'ok'), did(13, 'a', 'm', 'ok'),
          add('command', 'm', 'a', 2, 5, 90009, 13, 0, ''),
          add('command', 'n', 'a', 2, 6, 90009, 12, 0, ''))),
    ('identity', 'a revoked one that is let in',
     lambda w, d, e, s, t: w[4].update(t=3)),
    ('identity', 'a revoked one that stays',
     both(world({'t': 10, 'what': 'revoking', 'id': 'g', 'number': 2},
                {'t': 11, 'what': 'revoked', 'id': 'g', 'number': 2}),
          cell('credential', 1, 3, 1))),
    ('identity', 'a revocation that was lost', cell('credential', 0, 3, 0)),
    ('identity', 'a revocation by nobody', cell('credential', 1, 3, 1)),
    ('identity', 'an enrolment that was lost', drop('credential', 1)),
    ('identity', 'a one-time token that lets in two',
     lambda w, d, e, s, t: d[14].update(once='o-c')),
    ('identity', 'a good credential that is refused',
     says(device(12, 'g', 'hello', conn=9, cred=KEY_G, once=None),
          device(13, 'g', 'refused', conn=9, code=-32001))),
    ('identity', 'a token of the file that is refused',
     says(device(13, 'b', 'refused', conn=9, code=-32001))),
    ('identity', 'a good one-time token that is refused',
     both(world({'t': 6, 'what': 'invited', 'since': 6, 'once': 'o-d'}),
          says(device(7, 'c', 'hello', conn=9, cred='ee', once='o-d'),
               device(8, 'c', 'refused', conn=9, code=-32001)))),
    ('identity', 'wss-safe without the exporter',
     lambda w, d, e, s, t: d[15].update(security='wss-safe')),
]
# These are no violations.
ALLOWED = [
    ('a gap that shows', lambda w, d, e, s, t: e.pop(3)),
    ('a loss at the end that bus.alive tells',
     lambda w, d, e, s, t: e.pop(6)),
    ('one that came for a moment just before a kill',
     both(says(up(8, 'b', 9, 2), device(9, 'b', 'down', conn=9, how='reset',
                                        code=0)),
          world({'t': 10, 'what': 'killed'}),
          lambda w, d, e, s, t: (e[3].update(channel=2),
                                 s['endpoints'][1].update(channel=2)))),
    ('a farewell that was heard and not answered',
     both(says(device(5, 'c', 'asks', conn=3, method='sleep')),
          state(2, 'asleep'))),
    ('telemetry that was stored and its answer lost',
     lambda w, d, e, s, t: d.__delitem__(10)),
    ('a patch that was stored and its answer lost',
     lambda w, d, e, s, t: d.__delitem__(12)),
    ('a patch that was not stored',
     says(device(9, 'a', 'patch', patch={'m': 2}))),
    ('a command that expired while the clock was wrong',
     both(world({'t': 9, 'what': 'jump'}, {'t': 10, 'what': 'jumped'}),
          cell('command', 2, 5, 1000))),
    ('one that was cancelled too late',
     both(world({'t': 12, 'what': 'cancelling', 'cid': 'k'},
                {'t': 13, 'what': 'cancelled', 'cid': 'k', 'status': 409}))),
    ('one that had expired and reached its device late',
     did(9, 'b', 'x', 'expired')),
    ('one that was kicked and came again',
     both(world({'t': 3, 'what': 'kicked', 'id': 'a', 'since': 1}))),
    ('a one-time token that another had used',
     says(device(7, 'c', 'hello', conn=9, cred='ee', once='o-g'),
          device(8, 'c', 'refused', conn=9, code=-32001))),
    ('a revoked one that is refused',
     says(device(7, 'c', 'hello', conn=9, cred=KEY_C, once=None),
          device(8, 'c', 'refused', conn=9, code=-32001))),
]


# Planted after the judge has looked once and found all well.
LATER = [
    ('telemetry', 'a row that vanishes', drop('telemetry', 0)),
    ('inventory', 'a document that changes by itself',
     cell('inventory', 0, 1, '{"m":2}')),
    ('command', 'an outcome that changes', cell('command', 0, 2, 3)),
    ('command', 'one that vanishes after its end', drop('command', 2)),
    ('command', 'another outcome told after the end',
     says(device(30, 'a', 'final', cid='k', final='error'))),
    ('command', 'one run again after its end',
     says(device(30, 'a', 'ran', cid='k'))),
    ('command', 'one cancelled before it was delivered, and delivered',
     says(device(30, 'b', 'recorded', cid='y'))),
    ('command', 'one that the daemon no longer knows',
     world({'t': 30, 'what': 'cancelled', 'cid': 'k', 'status': 404})),
    ('command', 'an id given twice', ordered('k', 'a', 30, 1000)),
    ('identity', 'a revocation that is undone', cell('credential', 0, 3, 0)),
    ('identity', 'a credential that vanishes', drop('credential', 1)),
]
ALLOWED_LATER = [
    ('one cancelled after its end',
     world({'t': 30, 'what': 'cancelling', 'cid': 'k'},
           {'t': 30, 'what': 'cancelled', 'cid': 'k', 'status': 409})),
    ('one that had expired and reaches its device',
     did(30, 'b', 'x', 'expired')),
]


def write(directory, campaign):
    for name, lines in zip(('world', 'devices', 'events'), campaign):
        with open(os.path.join(directory, name + '.jsonl'), 'w',
                  encoding='utf-8') as f:
            f.writelines(json.dumps(x) + '\n' for x in lines)
    db = sqlite3.connect(os.path.join(directory, 'cleat.db'))
    for table, rows in campaign[4].items():
        db.execute(f'DROP TABLE IF EXISTS {table}')
        db.execute(f'CREATE TABLE {table} ({COLUMNS[table]})')
        marks = ', '.join('?' * len(COLUMNS[table].split(',')))
        db.executemany(f'INSERT INTO {table} VALUES ({marks})', rows)
    db.commit()
    db.close()


def trial(directory, plant, later=lambda *_: None):
    """What the judge says of the small campaign with `plant` in it from the
    first, and `later` at its second look."""
    campaign = small()
    path = os.path.join(directory, 'cleat.db')
    judge = Judge(directory)
    os.makedirs(directory)
    plant(*campaign)
    write(directory, campaign)
    found = judge.judge(campaign[3], path)
    later(*campaign)
    write(directory, campaign)
    return found or judge.judge(campaign[3], path)


def prove(directory):
    """Lines about what was planted and not found, or found and not planted."""
    def well(*_):
        pass
    planted = [(*x, ()) for x in PLANTED] + \
        [(rule, name, well, (plant,)) for rule, name, plant in LATER]
    allowed = [('all is well', well, ())] + [(*x, ()) for x in ALLOWED] + \
        [(name, well, (plant,)) for name, plant in ALLOWED_LATER]
    missed = []
    for n, (rule, name, plant, later) in enumerate(planted):
        found = trial(os.path.join(directory, str(n)), plant, *later)
        if not any(x.startswith(rule + ':') for x in found):
            missed.append(f'not found: {name}: {found}')
    for n, (name, plant, later) in enumerate(allowed):
        missed += [f'{name}: {x}' for x in trial(
            os.path.join(directory, f'ok{n}'), plant, *later)]
    return missed
