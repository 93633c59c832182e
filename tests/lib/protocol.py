# SPDX-License-Identifier: Apache-2.0
"""Holds real traffic of a channel against doc/protocol.schema.json.  What the
server sends must be in it, to the last member.  A device of a test may send
what it likes, but what the server answers with a result must be in it, too.
Needs python3-jsonschema; without it nothing is checked."""
import functools
import json
import os

try:
    import jsonschema
except ImportError:             # the scenarios run without it
    jsonschema = None

PATH = os.path.join(os.environ.get('CLEAT_SRCDIR', '.'), 'doc',
                    'protocol.schema.json')
CACHED = 4096                   # texts; most messages are said often


class Undocumented(AssertionError):
    """Traffic and schema do not agree."""


@functools.lru_cache(1)
def schema():
    with open(PATH, encoding='utf-8') as f:
        return json.load(f)


@functools.lru_cache(None)
def validator(name):
    """Of one definition; compiled once."""
    whole = jsonschema.Draft202012Validator(schema())
    return whole.evolve(schema=schema()['$defs'][name])


def deepest(error):
    """The line of an error that says most."""
    best = jsonschema.exceptions.best_match([error])
    while best.context:
        best = max(best.context, key=lambda e: len(e.absolute_path))
    where = '/'.join(str(p) for p in best.absolute_path)
    return f'{where}: {best.message[:300]}'


def fault(name, value):
    """None, or what is wrong."""
    error = next(validator(name).iter_errors(value), None)
    return deepest(error) if error else None


def members(name, value):
    """None, or a member that the definition does not have."""
    known = schema()['$defs'][name].get('properties', {})
    extra = sorted(set(value) - set(known)) if isinstance(value, dict) else []
    return f'{extra[0]} is not documented' if extra else None


def methods(side):
    """{name: definition} of what `side` (device, server) may ask."""
    names = [one.get('$ref', '').rsplit('/', 1)[-1]
             for one in schema()['$defs'][side]['oneOf']]
    return {n: schema()['$defs'][n] for n in names
            if 'method' in schema()['$defs'].get(n, {}).get('required', ())}


def message_fault(side, message):
    """None, or what is wrong with a message of `side`."""
    method = message.get('method') if isinstance(message, dict) else None
    if method in methods(side):         # says more than one of 12 branches
        return fault(method, message)
    return fault(side, message)


@functools.lru_cache(CACHED)
def server_fault(text):
    """The same, to the last member."""
    try:
        message = json.loads(text)
    except ValueError as e:
        return str(e)
    why = message_fault('server', message)
    if why is None and message.get('method'):
        method = message['method']
        why = members(method, message) or \
            members(method + '.params', message['params'])
    elif why is None:
        kind = 'answer' if 'result' in message else 'refusal'
        why = members(kind, message)
    return why


@functools.lru_cache(CACHED)
def result_fault(method, text):
    result = json.loads(text)
    return fault(method + '.result', result) or \
        members(method + '.result', result)


class Traffic:
    """One channel, as its device sees it."""

    def __init__(self):
        self.asked = {}         # id as JSON: the request

    def device_says(self, text):
        if jsonschema is None:
            return
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return
        if isinstance(message, dict) and 'method' in message and \
                'id' in message:
            key = json.dumps(message['id'])
            # One id for two requests: nobody can tell the answers apart.
            self.asked[key] = None if key in self.asked else message

    def server_says(self, text):
        if jsonschema is None:
            return
        why = server_fault(text)
        if why:
            raise Undocumented(f'the server said what is not documented: '
                               f'{why}: {text[:500]}')
        message = json.loads(text)
        if 'method' in message:
            return
        key = json.dumps(message['id'])
        request = self.asked.get(key)
        if request is None:
            return
        del self.asked[key]
        if 'result' not in message:
            return
        method = request['method']
        why = result_fault(method, json.dumps(message['result'])) \
            if method in methods('device') else 'no such method'
        if why:
            raise Undocumented(f'result of {method}: {why}: {text[:500]}')
        why = message_fault('device', request)
        if why:
            raise Undocumented(f'the server accepted what is not documented: '
                               f'{why}: {json.dumps(request)[:500]}')
