"""What the tests of messages share."""

import re

import pytest


def check_message(mistake, text):
    """Checks that an error begins with a text, or with a pattern."""
    pattern = text.pattern if isinstance(text, re.Pattern) else re.escape(text)
    with pytest.raises(Exception, match=f"^{pattern}"):
        mistake()


def updated(metric, *data, **named):
    return metric.update(metric.init(), *data, **named)
