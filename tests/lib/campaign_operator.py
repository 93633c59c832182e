# SPDX-License-Identifier: Apache-2.0
"""The operator of a campaign: asks at the control socket, and writes down what
was asked (`since` when) and what the daemon promised.  Blocks; knows no
device."""
import hashlib
import http.client
import json
import os
import random
import socket

from campaign_wire import now
from harness import PATIENCE, Failure

# Answers that a daemon under such treatment may give.
LATER = (429, 503, 504)


class Operator:
    def __init__(self, daemon, say, seed):
        self.daemon, self.say = daemon, say
        self.random = random.Random(seed)
        self.recent = []            # commands that may still be cancelled

    def ask(self, method, path, body=None, fine=()):
        """(status, answer); (0, None) when nobody answered."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(PATIENCE)
            try:
                s.connect(os.path.join(self.daemon.runtime, 'control.sock'))
                c = http.client.HTTPConnection('localhost')
                c.sock = s
                c.request(method, path, None if body is None else
                          json.dumps(body),
                          {'Content-Type': 'application/json'})
                r = c.getresponse()
                text = r.read()
                answer = json.loads(text) if text else None
            except (OSError, http.client.HTTPException, ValueError):
                return 0, None      # it is down, or going down, just now
        if r.status not in (200, 201, 202, 204, *fine, *LATER):
            raise Failure(f'{method} {path}: {r.status}: {answer}')
        return r.status, answer

    @staticmethod
    def time():
        return round(now() * 1000)

    # ---- commands

    def order(self, names):
        """[(endpoint, verbs)]; what is answered with 201 has to be kept."""
        for name, verbs in names:
            since = self.time()
            left = self.random.randrange(300, 3000) \
                if self.random.random() < 0.2 else 3 * 86400 * 1000
            status, answer = self.ask('POST', '/v1/commands', {
                'endpoint': name, 'verb': self.random.choice(verbs),
                'args': {}, 'deadline_ms': left}, fine=(404,))
            if status == 201:
                self.say('ordered', cid=answer['id'], id=name, since=since,
                         left=left)
                self.recent.append(answer['id'])

    def cancel(self):
        """A few of the latest commands."""
        self.recent = self.recent[-30:]
        for cid in self.random.sample(self.recent,
                                      min(2, len(self.recent))):
            self.recent.remove(cid)
            self.say('cancelling', cid=cid)
            status, _ = self.ask('POST', f'/v1/commands/{cid}/cancel',
                                 fine=(404, 409))
            if status:
                self.say('cancelled', cid=cid, status=status)

    # ---- channels

    def kick(self, names):
        for name in names:
            since = self.time()
            status, _ = self.ask('POST', f'/v1/endpoints/{name}/kick',
                                 fine=(404, 409))
            if status == 202:
                self.say('kicked', id=name, since=since)

    def drain(self, window_ms):
        since = self.time()
        status, _ = self.ask('POST', '/v1/drain', {'window_ms': window_ms})
        if status == 202:
            self.say('drained', since=since, window=window_ms)

    # ---- credentials

    def credentials(self, name):
        _, answer = self.ask('GET', f'/v1/endpoints/{name}/credentials',
                             fine=(404,))
        return [c['number'] for c in (answer or {}).get('credentials', ())
                if not c['revoked']]

    def revoke(self, name):
        """All that is valid; True when nothing is left."""
        gone = True
        for number in self.credentials(name):
            self.say('revoking', id=name, number=number)
            status, _ = self.ask('DELETE', f'/v1/credentials/{number}',
                                 fine=(404,))
            if status == 204:
                self.say('revoked', id=name, number=number)
            gone = gone and status == 204
        return gone

    def invite(self, name):
        """A one-time token, or None.  A device that says that it has no
        credential may have got one whose answer was lost."""
        if not self.revoke(name):
            return None
        since = self.time()
        status, answer = self.ask('POST', '/v1/enrolment-tokens', {})
        if status != 201:
            return None
        self.say('invited', since=since, once=hashlib.sha256(
            answer['token'].encode()).hexdigest())
        return answer['token']
