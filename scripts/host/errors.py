"""What can go wrong with a board. Each message is one line."""

__all__ = ["ConfigurationError", "DeviceError", "EngineError", "LinkError", "NoAnswerError"]


class DeviceError(Exception):
    """A board did not do what it was asked to."""


class NoAnswerError(DeviceError):
    """Nobody answers, or not in time."""


class LinkError(DeviceError):
    """Something answers, but not as this protocol has it."""


class ConfigurationError(DeviceError):
    """The board holds another engine than the image is for."""


class EngineError(DeviceError):
    """The engine reports an error.

    Attributes
    ----------
    code : :class:`int`
        Value of the register ERROR, see :data:`eieio.model.registers.ERRORS`.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
