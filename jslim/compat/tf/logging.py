"""`tf.logging`: messages of the logger `jslim.compat`."""

import logging as _logging

_logger = _logging.getLogger("jslim.compat")
DEBUG, INFO, WARN, WARNING = _logging.DEBUG, _logging.INFO, _logging.WARNING, _logging.WARNING
ERROR, FATAL = _logging.ERROR, _logging.CRITICAL

debug, info, warn, warning = _logger.debug, _logger.info, _logger.warning, _logger.warning
error, fatal, log = _logger.error, _logger.critical, _logger.log


def set_verbosity(v: int) -> None:
    """Shows messages from this level on."""
    _logger.setLevel(v)


def get_verbosity() -> int:
    return _logger.getEffectiveLevel()
