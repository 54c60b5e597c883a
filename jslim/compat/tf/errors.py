"""`tf.errors`: classes for `except`. Nothing here raises them."""


class OpError(Exception):
    """What an operation of TensorFlow raised."""


class OutOfRangeError(OpError):
    pass


class InvalidArgumentError(OpError):
    pass


class NotFoundError(OpError):
    pass


class AbortedError(OpError):
    pass


class CancelledError(OpError):
    pass


class FailedPreconditionError(OpError):
    pass


class DataLossError(OpError):
    pass


class UnimplementedError(OpError):
    pass
