# SPDX-License-Identifier: Apache-2.0
"""A client of the control socket that holds every exchange against
doc/openapi.json: what is asked (unless the test says that it is wrong on
purpose), what is answered, and that no answer has a member that is not
described."""
import copy
import http.client
import json
import os
import re
import socket
import urllib.parse

from jsonschema import Draft202012Validator, RefResolver

from harness import PATIENCE, Failure, check, equal

SPEC_PATH = os.path.join(os.environ.get('CLEAT_SRCDIR', '.'), 'doc',
                         'openapi.json')


def closed(schema):
    """The same, but members that are not described are refused."""
    if isinstance(schema, list):
        return [closed(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: closed(v) for k, v in schema.items()}
    if out.get('type') == 'object' and 'properties' in schema and \
            isinstance(schema['properties'], dict):
        out.setdefault('additionalProperties', False)
    return out


class Spec:
    def __init__(self):
        with open(SPEC_PATH) as f:
            self.open = json.load(f)
        self.closed = self._answers(copy.deepcopy(self.open))
        self.routes = []
        for path, item in self.open['paths'].items():
            regex = re.sub(r'\{[^}]*\}', '([^/]+)', path)
            self.routes.append((re.compile(regex + r'\Z'), path, item))
        self.seen = set()               # (operationId, status)

    @staticmethod
    def _answers(doc):
        schemas = doc['components']['schemas']
        for name in list(schemas):
            merged = schemas[name]
            for part in merged.pop('allOf', []):
                base = schemas[part['$ref'].rsplit('/', 1)[1]]
                merged = {**base, **merged, 'required':
                          base.get('required', []) +
                          merged.get('required', []),
                          'properties': {**base['properties'],
                                         **merged['properties']}}
            schemas[name] = merged
        return closed(doc)

    def find(self, method, path):
        for regex, name, item in self.routes:
            if regex.match(path):
                return item.get(method.lower())
        return None

    def validate(self, doc, schema, value, what):
        validator = Draft202012Validator(
            schema, resolver=RefResolver('', doc))
        for error in validator.iter_errors(value):
            raise Failure(f'{what}: {error.json_path}: {error.message}\n'
                          f'{json.dumps(value)[:2000]}')

    def check_request(self, operation, path, query, body):
        known = {p['name']: p for p in operation.get('parameters', [])
                 if p['in'] == 'query'}
        for name, value in query.items():
            check(name in known, f'{path}: parameter {name} is not described')
            schema = known[name]['schema']
            if schema.get('type') == 'integer':
                value = int(value)
            self.validate(self.open, schema, value, f'{path} {name}')
        if body is None:
            check('requestBody' not in operation, f'{path} wants a body')
        else:
            schema = operation['requestBody']['content'][
                'application/json']['schema']
            self.validate(self.open, schema, body, f'request of {path}')

    def check_answer(self, operation, what, answer):
        responses = operation['responses']
        status = str(answer.status)
        self.seen.add((operation['operationId'], answer.status))
        if status not in responses and answer.status < 400:
            raise Failure(f'{what}: status {status} is not described')
        response = self._deref(responses.get(status, responses['default']))
        content = response.get('content')
        if content is None:
            equal(answer.body, b'', f'{what}: body of {status}')
            return
        kind = answer.headers.get('content-type', '').split(';')[0]
        check(kind in content, f'{what}: {status} with {kind!r}')
        for name in response.get('headers', {}):
            check(name.lower() in answer.headers, f'{what}: no {name}')
        if kind.endswith('json'):
            closed_response = self._deref(
                self.closed_response(operation, status))
            self.validate(self.closed,
                          closed_response['content'][kind]['schema'],
                          answer.json(), f'{what}: {status}')

    def closed_response(self, operation, status):
        for item in self.closed['paths'].values():
            for other in item.values():
                if other.get('operationId') == operation['operationId']:
                    return other['responses'].get(
                        status, other['responses']['default'])
        raise KeyError(operation['operationId'])

    def _deref(self, value):
        if '$ref' in value:
            return self.closed['components']['responses'][
                value['$ref'].rsplit('/', 1)[1]]
        return value


SPEC = Spec()


class Problem(Exception):
    """An RFC 9457 answer."""

    def __init__(self, answer):
        self.answer = answer
        self.status = answer.status
        self.body = answer.json()
        self.type = self.body['type'].rsplit(':', 1)[1]
        self.detail = self.body['detail']
        self.member = self.body.get('member')
        super().__init__(f'{self.status} {self.type}: {self.detail}')


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__('localhost', timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def problem_of(status, headers, body, what):
    """What any error has to be, wherever it comes from."""
    equal(headers.get('content-type'), 'application/problem+json', what)
    value = json.loads(body)
    SPEC.validate(SPEC.closed, SPEC.closed['components']['schemas'][
        'problem'], value, what)
    equal(value['status'], status, what)
    return value


def sock_of(d):
    return os.path.join(d.runtime, 'control.sock')


class Control:
    """c.get('/v1/status') gives the body of the answer, or raises Problem."""

    def __init__(self, daemon, path=None, timeout=None):
        self.path = path or sock_of(daemon)
        self.timeout = timeout or PATIENCE
        self.connection = UnixConnection(self.path, self.timeout)

    def request(self, method, path, body=None, query=None, headers=None,
                wrong=False):
        """wrong: the request is not what is described, on purpose."""
        query = {k: str(v) for k, v in (query or {}).items()}
        target = path + ('?' + urllib.parse.urlencode(
            query, quote_via=urllib.parse.quote) if query else '')
        operation = SPEC.find(method, path)
        what = f'{method} {target}'
        if not wrong:
            check(operation is not None, f'{what} is not described')
            SPEC.check_request(operation, path, query, body)
        head = dict(headers or {})
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else \
                json.dumps(body).encode()
            head.setdefault('Content-Type', 'application/json')
        try:
            self.connection.request(method, target, data, head)
            response = self.connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError):
            self.connection.close()     # it was idle for too long
            self.connection.request(method, target, data, head)
            response = self.connection.getresponse()
        answer = Answer(response.status,
                        {k.lower(): v for k, v in response.getheaders()},
                        response.read())
        if answer.status >= 400:
            problem_of(answer.status, answer.headers, answer.body, what)
        if operation is not None:
            SPEC.check_answer(operation, what, answer)
        if answer.status >= 400:
            raise Problem(answer)
        return answer

    def get(self, path, **query):
        answer = self.request('GET', path, query=query)
        return answer.json() if answer.body else None

    def post(self, path, body=None):
        return self.request('POST', path, body).json()

    def put(self, path, body):
        return self.request('PUT', path, body).json()

    def patch(self, path, body):
        return self.request('PATCH', path, body).json()

    def delete(self, path):
        equal(self.request('DELETE', path).status, 204, path)

    def pages(self, path, member, **query):
        """All entries of a list, page by page."""
        while True:
            page = self.get(path, **query)
            yield from page[member]
            if 'next' not in page:
                return
            query['after'] = page['next']

    def events(self, prefix=None, last=None, timeout=None):
        return Stream(self.path, prefix, last, timeout or self.timeout)

    def close(self):
        self.connection.close()


def start(scene, devices=(), **control):
    """A daemon that knows these devices, and d.control to operate it."""
    d = scene.daemon(conf={'control': control} if control else None)
    for endpoint in devices:
        d.token(endpoint)
    d.start()
    d.control = Control(d)
    return d


class Stream:
    """Server-sent events; next() gives (event, id, data)."""

    def __init__(self, path, prefix=None, last=None, timeout=None):
        self.connection = UnixConnection(path, timeout or PATIENCE)
        query = '' if prefix is None else \
            '?prefix=' + urllib.parse.quote(prefix)
        self.connection.request(
            'GET', '/v1/events' + query,
            headers={'Last-Event-ID': last} if last else {})
        self.response = self.connection.getresponse()
        if self.response.status != 200:
            headers = {k.lower(): v for k, v in self.response.getheaders()}
            answer = Answer(self.response.status, headers,
                            self.response.read())
            problem_of(answer.status, headers, answer.body, '/v1/events')
            raise Problem(answer)
        equal(self.response.getheader('content-type'), 'text/event-stream')
        SPEC.seen.add(('events', 200))
        self.opened = self.next()
        equal(self.opened[0], 'open')

    def next(self):
        event = {}
        while True:
            line = self.response.readline().decode()
            if line == '':
                raise EOFError
            line = line.rstrip('\n')
            if line == '':
                if event:
                    break
                continue
            if line.startswith(':'):
                continue
            name, value = line.split(': ', 1)
            check(name in ('id', 'event', 'data') and name not in event, line)
            event[name] = value
        data = json.loads(event['data'])
        if event['event'] in ('open', 'gap'):
            SPEC.validate(SPEC.closed, SPEC.closed['components']['schemas'][
                'stream_' + event['event']], data, event['event'])
        else:
            equal(event['id'], f'{data["epoch"]}-{data["seq"]}')
            equal(event['event'], data['event'])
        return event['event'], event.get('id'), data

    def expect(self, event, endpoint=None):
        while True:
            name, _, data = self.next()
            if name == event and endpoint in (None, data.get('endpoint')):
                return data

    def close(self):
        self.response.close()
        self.connection.close()
