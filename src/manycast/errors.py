"""The one tree of errors. A new class stands here, or beside what raises it, only where a caller branches."""


class ManycastError(Exception):
    """Anything Manycast raises on purpose."""


class ProtocolError(ManycastError):
    """A peer sent what its protocol does not allow; costs that peer only."""
