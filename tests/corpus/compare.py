"""Compares a reading of corpus-reading with one of supervisord."""

EXACT = ('env', 'environment', 'settings')  # objects in which a key too many is a fault


def differences(expected, actual, path='', exact=False):
    """Yields one line for each difference; keys that only `actual` has are fine."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in expected:
            where = '%s.%s' % (path, key)
            if key == 'oracle':
                continue
            if key not in actual:
                yield '%s: missing' % where
            else:
                yield from differences(expected[key], actual[key], where, key in EXACT)
        for key in actual if exact else ():
            if key not in expected:
                yield '%s.%s: should not be there' % (path, key)
        if expected.get('ok') is True and actual.get('ok') is not True:
            yield '%s: refused: %s' % (path, actual.get('error'))
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield '%s: %d elements in place of %d' % (path, len(actual), len(expected))
        for i, (one, other) in enumerate(zip(expected, actual)):
            yield from differences(one, other, '%s[%d]' % (path, i), exact)
    elif expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
        yield '%s: %r in place of %r' % (path, actual, expected)
