#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The verb `wake` as an operator gives it (control socket, cleatctl): a real
Wake-on-LAN packet on a network of its own, by the daemon or by cleat-agent as
the neighbour of who sleeps."""
import contextlib
import json
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from agents import Agent  # noqa: E402
from control import Control  # noqa: E402
from harness import (BUILDDIR, PATIENCE, Device, Failure,  # noqa: E402
                     check, equal, main, wait_until)
from netns import Netns, ip  # noqa: E402

MAC = '02:00:5e:10:00:07'
PACKET = b'\xff' * 6 + bytes.fromhex(MAC.replace(':', '')) * 16
ELSEWHERE = '198.19.77'         # RFC 2544; the daemon has no address there


@contextlib.contextmanager
def scenery(scene):
    with Netns() as ns:
        ip('-n', ns.name, 'link', 'add', 'lan0', 'type', 'veth', 'peer',
           'name', 'lan1')
        ip('-n', ns.name, 'addr', 'add', f'{ELSEWHERE}.1/24', 'dev', 'lan0')
        for link in ('lan0', 'lan1'):
            ip('-n', ns.name, 'link', 'set', link, 'up')
        d = scene.daemon(conf={
            'listener.near': {'address': '127.0.0.1:0'},
            'listener.main': {'address': f'{ns.our}:0'}})
        for endpoint in ('dev', 'dev-1', 'other'):
            d.token(endpoint)
        d.start()
        d.control = Control(d)
        with ns.inside():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(('', 9))
            s.settimeout(PATIENCE)
        yield ns, d, s
        s.close()
        d.control.close()
        d.stop()


def reports(d, endpoint, **inventory):
    """A device that says this of itself."""
    device = Device(d, endpoint, listener='near')
    device.call('inventory', {'patch': inventory})
    return device


def sleeper(d, **inventory):
    device = reports(d, 'dev', **inventory)
    device.call('bye', {'reason': 'suspending'})
    device.expect_close()
    wait_until('it is away', lambda: d.control.get(
        '/v1/endpoints/dev')['connected'] is False)


def give(d, command, **args):
    return d.control.post('/v1/commands', {
        'endpoint': 'dev', 'verb': 'wake', 'id': command, 'args': args,
        'deadline_ms': 60000})


def ended(d, command):
    """Its outcome and what is said of it."""
    def final():
        c = d.control.get('/v1/commands/' + command, wait_ms=1000)
        return c if c['final'] else None
    c = wait_until('the outcome of ' + command, final)
    return c['state'], c.get('message', '')


def silent(s):
    """No packet waits."""
    s.setblocking(False)
    try:
        raise Failure(f'a packet: {s.recvfrom(2000)}')
    except BlockingIOError:
        s.settimeout(PATIENCE)


def test_by_the_daemon(scene):
    """the daemon sends the packet into the network that it shares"""
    with scenery(scene) as (ns, d, s):
        sleeper(d, mac=MAC, addresses=[f'{ns.their}/30',
                                       f'{ELSEWHERE}.7/24'])
        give(d, 'w-1')
        packet, sender = s.recvfrom(2000)
        equal(packet, PACKET, 'the packet')
        equal(sender[0], ns.our, 'who sent it')
        equal(ended(d, 'w-1'), ('ok', 'sent by the server'))
        # Once only, and with the operator's own tool.
        silent(s)
        other = '02:00:5e:10:00:08'
        done = subprocess.run(
            [os.path.join(BUILDDIR, 'cleatctl'), '--socket',
             os.path.join(d.runtime, 'control.sock'), 'command', 'send',
             'dev', 'wake', f'mac={other}'],
            capture_output=True, text=True, timeout=PATIENCE, check=False)
        equal(done.returncode, 0, done.stderr)
        packet, _ = s.recvfrom(2000)
        equal(packet[6:12].hex(':'), other, 'a MAC of the arguments')


def test_by_a_neighbour(scene):
    """a device that is online in the sleeper's network sends it instead"""
    with scenery(scene) as (ns, d, s):
        sleeper(d, mac=MAC, addresses=[f'{ELSEWHERE}.7/24'])
        stranger = reports(d, 'other', mac='02:00:5e:10:00:09',
                           addresses=['203.0.113.5/24'])
        token = scene.path('token-dev-1')
        with open(token, 'w') as f:
            f.write(d.token('dev-1') + '\n')
        with ns.inside():
            agent = Agent(scene, f'wss://{ns.our}:{d.address("main")[1]}'
                          '/v1/channel', '--token-file', token, '--ca',
                          scene.pki.ca, '--no-verify-host', '--wake',
                          token=False)
        agent.says('online')
        wait_until('it has said where it is', lambda: any(
            a.startswith(ELSEWHERE) for a in inventory(d, 'dev-1')))
        give(d, 'w-1')
        packet, sender = s.recvfrom(2000)
        equal(packet, PACKET, 'the packet')
        equal(sender[0], f'{ELSEWHERE}.1', 'who sent it')
        equal(ended(d, 'w-1'), ('ok', 'sent by its neighbour dev-1'))
        relayed = [c for c in d.control.pages('/v1/commands', 'commands')
                   if c['endpoint'] == 'dev-1']
        equal([(c['verb'], c['by'], c['state']) for c in relayed],
              [('wake', 'relay of w-1', 'ok')])
        equal(relayed[0]['args'], {'mac': MAC,
                                   'address': f'{ELSEWHERE}.255'})
        silent(s)
        equal([m for m in stranger.notifications
               if m['method'] == 'command'], [], 'the stranger')
        stranger.close()
        agent.stop()


def inventory(d, endpoint):
    """The addresses in it, as far as they are known."""
    for e in d.control.pages('/v1/endpoints', 'endpoints'):
        if e['id'] == endpoint and e.get('inventory_revision'):
            return d.control.get(f'/v1/endpoints/{endpoint}/inventory')[
                'inventory'].get('addresses', [])
    return []


def test_by_nobody(scene):
    """who cannot be reached by anybody is not said to be awake"""
    with scenery(scene) as (_, d, s):
        sleeper(d, addresses=[f'{ELSEWHERE}.7/24'])
        give(d, 'w-1')
        state, why = ended(d, 'w-1')
        equal(state, 'error')
        check('MAC address is not known' in why, why)
        give(d, 'w-2', mac=MAC)
        state, why = ended(d, 'w-2')
        equal(state, 'error')
        check('in none of its networks' in why, why)
        # A neighbour that will not.
        neighbour = reports(d, 'other', mac='02:00:5e:10:00:09',
                            addresses=[f'{ELSEWHERE}.9/24'])
        give(d, 'w-3', mac=MAC)
        m = request(neighbour)
        equal(m['params']['verb'], 'wake')
        equal(m['params']['args'], {'mac': MAC,
                                    'address': f'{ELSEWHERE}.255'})
        neighbour.send_json({'jsonrpc': '2.0', 'id': m['id'], 'error': {
            'code': -32601, 'message': 'not I'}})
        equal(ended(d, 'w-3'),
              ('error', 'its neighbour other could not send it'))
        silent(s)
        neighbour.close()


def request(device):
    """The next command that it is given."""
    while True:
        m = json.loads(device.recv())
        if m.get('method') == 'command':
            return m


main()
