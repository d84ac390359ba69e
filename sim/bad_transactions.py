"""Random bad transactions: each must give its error, and the next inference must be right."""

from collections import Counter
from collections.abc import Callable
from random import Random

import numpy as np

from eieio.model import registers
from eieio.model.coded_image_decoder import decode_image
from eieio.model.image_frame import HEADER_WORDS, MAGIC, frame_image
from eieio.model.registers import Access, Control, ErrorCode, ShellError
from eieio.sim.coded_images import DAMAGES
from eieio.sim.shell_session import DECERR, OKAY, SLVERR, ShellSession

__all__ = ["MAX_BEATS", "MIN_WORDS", "SAMPLES", "BadTransactions"]

#: Samples of each network of a session.
SAMPLES = 3

#: Fewest words of an image, so that it takes some time; and most beats of an input, so that many of
#: them can be sent.
MIN_WORDS, MAX_BEATS = 150, 40


class BadTransactions:
    """Adds bad transactions to a session.

    Parameters
    ----------
    session : ShellSession
        Session, of a shell after reset.
    seed : :class:`int`
        Seed of all choices.

    Attributes
    ----------
    counts : Counter of :class:`str`
        Transactions so far, by kind.
    """

    def __init__(self, session: ShellSession, seed: int) -> None:
        self.session = session
        self.counts: Counter[str] = Counter()
        self._rng = Random(f"bad transactions {seed}")
        self._loaded: int | None = None
        self._kinds: list[Callable[[], None]] = [
            self.wrong_magic, self.foreign_configuration, self.no_words, self.ends_in_header,
            self.truncated_image, self.extended_image, self.wrong_count, self.flipped_bits,
            self.wrong_checksum, self.swapped_words, self.refused_by_engine, self.nothing_to_run,
            self.short_input, self.long_input, self.input_without_image, self.start_without_image,
            self.unmapped_address, self.read_only_register, self.soft_reset_in_image,
            self.soft_reset_and_rest_of_image, self.soft_reset_in_input,
            self.soft_reset_and_rest_of_input, self.soft_reset_in_inference, self.hard_reset,
            self.image_begun_twice, self.damaged_image_beside_input,
        ]
        if session.coded_frames:
            self._kinds.append(self.damaged_code)

    def add(self, count: int) -> None:
        """Add bad transactions, each followed by a good inference; every kind equally often."""
        for number in range(count):
            if number % len(self._kinds) == 0:
                self._rng.shuffle(self._kinds)
            kind = self._kinds[number % len(self._kinds)]
            if self._loaded is None and self._rng.random() < 0.5:
                self._load()
            kind()
            self.counts[kind.__name__] += 1
            self._infer()

    # What is good.

    def _load(self) -> None:
        self._loaded = self._rng.randrange(len(self.session.frames))
        self.session.load(self._loaded,
                          coded=bool(self.session.coded_frames) and self._rng.random() < 0.5)

    def _infer(self) -> None:
        if self._loaded is None or self._rng.random() < 0.1:
            self._load()
        assert self._loaded is not None
        sample = self._rng.randrange(SAMPLES)
        self.session.infer(self._loaded, sample)
        self.session.count(self._loaded, sample)
        self.session.read(registers.ERROR, 0)
        self.session.expect(0, "received")

    def _frame(self) -> list[int]:
        return list(self._rng.choice(self.session.frames + self.session.coded_frames))

    def _beats(self) -> list[int]:
        return list(self.session.inputs[self._loaded or 0][self._rng.randrange(SAMPLES)])

    def _need_image(self) -> None:
        if self._loaded is None:
            self._load()

    def _refused(self, words: list[int], error: int, *, unloads: bool) -> None:
        self.session.send_image(words)
        if unloads:
            self._loaded = None
        self.session.error(error, loaded=self._loaded is not None)

    def _reframed(self, image: list[int], *, coded: bool = False) -> list[int]:
        return frame_image(np.array(image, np.uint32), self.session.fingerprint,
                           coded=coded).tolist()

    def _target(self, name: str) -> int:
        """First word of a section for a memory of the first unit."""
        return self.session.targets[name] << 28

    def _soft_reset(self) -> None:
        self.session.write(registers.CONTROL, Control.RUN | Control.SOFT_RESET)
        self._loaded = None

    # Frames.

    def wrong_magic(self) -> None:
        frame = self._frame()
        frame[0] ^= 1 << self._rng.randrange(32)
        self._refused(frame[:self._rng.choice([1, 2, len(frame)])], ShellError.FRAME_MAGIC,
                      unloads=False)

    def foreign_configuration(self) -> None:
        frame = self._frame()
        frame[1] ^= self._rng.randrange(1, 1 << 32)
        self._refused(frame[:self._rng.choice([2, 3, len(frame)])],
                      ShellError.FRAME_CONFIGURATION, unloads=False)

    def no_words(self) -> None:
        frame = [MAGIC, self.session.fingerprint, 0, *(
            self._rng.getrandbits(32) for _ in range(self._rng.randrange(5)))]
        self._refused(frame, ShellError.FRAME_EMPTY, unloads=False)

    def ends_in_header(self) -> None:
        self._refused(self._frame()[:self._rng.randint(1, HEADER_WORDS)], ShellError.FRAME_SHORT,
                      unloads=False)

    def truncated_image(self) -> None:
        frame = self._frame()
        self._refused(frame[:self._rng.randint(HEADER_WORDS + 1, len(frame) - 1)],
                      ShellError.FRAME_SHORT, unloads=True)

    def extended_image(self) -> None:
        extra = [self._rng.getrandbits(32) for _ in range(self._rng.choice([1, 2, 50]))]
        self._refused(self._frame() + extra, ShellError.FRAME_LONG, unloads=True)

    def wrong_count(self) -> None:
        frame = self._frame()
        more = self._rng.random() < 0.5
        frame[2] = (self._rng.choice([frame[2] + 1, frame[2] + 1000, 0xFFFFFFFF]) if more
                    else self._rng.randint(1, frame[2] - 1))
        self._refused(frame, ShellError.FRAME_SHORT if more else ShellError.FRAME_LONG,
                      unloads=True)

    def flipped_bits(self) -> None:
        frame = self._frame()
        for position in self._rng.sample(range(HEADER_WORDS, len(frame) - 1),
                                         self._rng.choice([1, 1, 2, 5])):
            frame[position] ^= 1 << self._rng.randrange(32)
        self._refused(frame, ShellError.FRAME_CHECKSUM, unloads=True)

    def wrong_checksum(self) -> None:
        frame = self._frame()
        frame[-1] ^= 1 << self._rng.randrange(32)
        self._refused(frame, ShellError.FRAME_CHECKSUM, unloads=True)

    def swapped_words(self) -> None:
        frame = self._frame()
        first = self._rng.randrange(HEADER_WORDS, len(frame) - 1)
        second = self._rng.choice([position for position in range(HEADER_WORDS, len(frame) - 1)
                                   if frame[position] != frame[first]])
        frame[first], frame[second] = frame[second], frame[first]
        self._refused(frame, ShellError.FRAME_CHECKSUM, unloads=True)

    # Undamaged frames around images that the engine refuses.

    def refused_by_engine(self) -> None:
        good = list(self._rng.choice(self.session.frames))[HEADER_WORDS:-1]
        layers, biases = self._target("LAYERS"), self._target("BIASES")
        tail, error = self._rng.choice([
            ([6 << 28, 0, 1, 1], ErrorCode.IMAGE_TARGET),
            ([self.session.units, 0, 1, 1], ErrorCode.IMAGE_TARGET),
            ([layers, 1, 1, 1], ErrorCode.IMAGE_ADDRESS),
            ([layers, 0, 2, 1, 1], ErrorCode.IMAGE_ADDRESS),
            ([layers, 0, 1, 0], ErrorCode.IMAGE_LAYERS),
            ([layers, 0], ErrorCode.IMAGE_LENGTH),
            ([biases, 0, 4, 1, 2], ErrorCode.IMAGE_LENGTH),
        ])
        self._refused(self._reframed(good + tail if self._rng.random() < 0.7 else tail), error,
                      unloads=True)

    def damaged_code(self) -> None:
        """Damage a coded image in a way that its decoder sees."""
        good = np.array(self._rng.choice(self.session.coded_frames)[HEADER_WORDS:-1], np.uint32)
        rng = np.random.default_rng(self._rng.getrandbits(32))
        while True:
            coded = DAMAGES[self._rng.choice(list(DAMAGES))](good, rng)
            error = decode_image(coded, self.session.layouts).error
            if error is not None:
                break
        self._refused(self._reframed(coded.tolist(), coded=True), error, unloads=True)

    def nothing_to_run(self) -> None:
        words = [self._rng.getrandbits(8) for _ in range(self._rng.randint(1, 8))]
        self._refused(self._reframed([self._target("BIASES"), 0, len(words), *words]),
                      ShellError.IMAGE_INCOMPLETE, unloads=True)

    # Inputs.

    def short_input(self) -> None:
        self._need_image()
        beats = self._beats()
        self.session.send_input(beats[:self._rng.randint(1, len(beats) - 1)])
        self.session.error(ErrorCode.INPUT_SHORT, loaded=True)

    def long_input(self) -> None:
        self._need_image()
        beats = self._beats()
        self.session.send_input(beats + beats[:1] * self._rng.choice([1, 2, len(beats), 200]))
        self.session.error(ErrorCode.INPUT_LONG, loaded=True)

    def input_without_image(self) -> None:
        if self._loaded is not None:
            self._soft_reset()
        beats = self._beats()
        self.session.send_input(beats[:self._rng.randint(1, len(beats))])
        self.session.error(ShellError.INPUT_WITHOUT_IMAGE, loaded=False)

    # Registers.

    def start_without_image(self) -> None:
        if self._loaded is not None:
            self._soft_reset()
        run = self._rng.choice([0, Control.RUN])
        self.session.write(registers.CONTROL, run | Control.START)
        self.session.error(ShellError.START_WITHOUT_IMAGE, loaded=False)

    def unmapped_address(self) -> None:
        mapped = {register.address for register in registers.register_map(self.session.kind)}
        for _ in range(self._rng.randint(1, 4)):
            address = self._rng.choice([
                address for address in (*range(0, 0x100, 4), self._rng.randrange(0, 0x1000, 4))
                if address not in mapped])
            if self._rng.random() < 0.5:
                self.session.expect([DECERR, 0], "read", address)
            else:
                self.session.expect(DECERR, "write", address, self._rng.getrandbits(32))

    def read_only_register(self) -> None:
        for register in self._rng.sample([
                register for register in registers.register_map(self.session.kind)
                if register.access == Access.READ_ONLY], 3):
            self.session.expect(SLVERR, "write", register.address, self._rng.getrandbits(32))
        self.session.expect([OKAY, registers.ID_VALUE], "read", registers.ID.address)

    # Resets in the middle.

    def soft_reset_in_image(self) -> None:
        self.session.do("cut", "image", self.session.stream(self._frame()),
                        self._rng.randint(1, 150))
        self._soft_reset()

    def soft_reset_and_rest_of_image(self) -> None:
        self.session.do("begin", "image", self.session.stream(self._frame() * 4))
        self.session.do("wait", self._rng.randint(1, 100))
        self._soft_reset()
        self.session.do("finish", "image")
        self.session.error(ShellError.FRAME_MAGIC, loaded=False)

    def soft_reset_in_input(self) -> None:
        self._need_image()
        self.session.do("cut", "input", self.session.stream(self._beats()),
                        self._rng.randint(1, 20))
        self._soft_reset()
        self.session.do("discard")

    def soft_reset_and_rest_of_input(self) -> None:
        self._need_image()
        self.session.do("begin", "input", self.session.stream(self._beats() * 90))
        self.session.do("wait", self._rng.randint(1, 100))
        self._soft_reset()
        self.session.do("finish", "input")
        self.session.error(ShellError.INPUT_WITHOUT_IMAGE, loaded=False)

    def soft_reset_in_inference(self) -> None:
        self._need_image()
        self.session.send_input(self._beats())
        self.session.do("wait", self._rng.randint(1, 150))
        self._soft_reset()
        self.session.do("discard")

    def hard_reset(self) -> None:
        if self._rng.random() < 0.5:
            self._need_image()
            self.session.send_input(self._beats())
        else:
            self.session.do("begin", "image", self.session.stream(self._frame()))
        self.session.do("wait", self._rng.randint(1, 150))
        self.session.do("hard_reset")
        self._loaded = None

    # Two things at once.

    def image_begun_twice(self) -> None:
        frame = self.session.frames[0]
        self.session.do("cut", "image", self.session.stream(frame), self._rng.randint(60, 100))
        self._refused(frame, ShellError.FRAME_LONG, unloads=True)

    def damaged_image_beside_input(self) -> None:
        frame = self._frame()
        frame[-2] ^= 1 << self._rng.randrange(32)
        self.session.do("together", [["send", "image", self.session.stream(frame)]],
                        [["wait", 12], ["send", "input", self.session.stream(self._beats())]])
        self._loaded = None
        self.session.error(ShellError.FRAME_CHECKSUM, loaded=False)
