"""Text lines found and read in a grey picture by two small networks, PP-OCR's, on one thread.

The networks are those in the wheel of ``rapidocr`` (Apache-2.0; PaddleOCR's, Apache-2.0). Only its
files are used: its code wants OpenCV, which alone is a quarter of what this service may weigh and
brings video decoders into a process that reads hostile files. What is left for us is arithmetic:
the detector's map to boxes (Liao et al. 2020, "Real-time Scene Text Detection with Differentiable
Binarization", arXiv:1911.08947), and the recogniser's characters to text (greedy CTC).
"""

from dataclasses import dataclass
from math import cos, sin
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from app.infra.onnx import Fail, RuntimeException
from app.infra.onnx import onnxruntime as ort
from app.ingestion.ocr_lines import UPWARDS
from app.ingestion.ocr_regions import Region, find_regions

Floats = npt.NDArray[np.float32]

DETECTOR, RECOGNISER = "*det*.onnx", "*rec*.onnx"
#: Long side of what the detector sees; ten-point text on A4 is 12 pixels high there, and found.
DETECT_SIDE_PX = 1_024
MAX_ENLARGEMENT = 3.0
#: The networks' strides and the recogniser's height, fixed by their training.
STRIDE, LINE_HEIGHT_PX = 32, 48
#: Lines read together; more padding than work is saved beyond.
BATCH = 6
#: A line longer than 60 of its heights is compressed to that.
MAX_ASPECT = 60
#: Mean probability of its characters below which a line is not text (rapidocr's default).
MIN_CONFIDENCE = 0.5
#: Slant (radians) below which a crop is not turned.
LEVEL = 0.01


@dataclass(frozen=True, slots=True)
class Line:
    """One line read: its text, and where each character's middle stands."""

    text: str
    region: Region
    #: float32, (len(text),): share of the line's length at each character's middle.
    middles: Floats


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read on a page; its lines in no order."""

    lines: list[Line]
    #: Mean probability of all characters, also of lines that were taken for none; 1 without any.
    confidence: float
    #: Whether most lines are written upwards or downwards.
    sideways: bool


class Reader:
    """The two networks, loaded once; reading opens no file and starts no thread."""

    def __init__(self, models: Path) -> None:
        """Load the networks from the wheel's folder."""
        self._detector = open_session(next(models.glob(DETECTOR)))
        self._recogniser = open_session(next(models.glob(RECOGNISER)))
        listed = self._recogniser.get_modelmeta().custom_metadata_map["character"]
        #: Class 0 is CTC's blank, the one after all listed is the space.
        self._characters = ["", *listed.splitlines(), " "]

    def read(self, page: Image.Image) -> Reading:
        """Return what can be read on a page (mode ``L``).

        Raises:
            MemoryError: The networks could not allocate.
        """
        regions = self.detect(page)
        crops = [crop(page, region) for region in regions]
        lines: list[Line] = []
        characters, certain = 0, 0.0
        order = sorted(range(len(crops)), key=lambda index: crops[index].width)
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            chances, widths = self.recognise([crops[index] for index in batch])
            for index, chance, width in zip(batch, chances, widths, strict=True):
                text, middles, confidence = self.decode(chance, width)
                characters, certain = characters + len(text), certain + len(text) * confidence
                if text.strip() and confidence >= MIN_CONFIDENCE:
                    lines.append(Line(text, regions[index], middles))
        sideways = sum(is_upright(region) for region in regions) > len(regions) / 2
        return Reading(lines, certain / characters if characters else 1.0, sideways)

    def detect(self, page: Image.Image) -> list[Region]:
        """Return where lines of text are, in the page's pixels."""
        scale = min(MAX_ENLARGEMENT, DETECT_SIDE_PX / max(page.size))
        size = [max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in page.size]
        seen = normalised(page.resize((size[0], size[1]), Image.Resampling.BILINEAR))
        chances = run(self._detector, seen[np.newaxis])[0, 0]
        return find_regions(chances, (page.width / size[0], page.height / size[1]))

    def recognise(self, crops: list[Image.Image]) -> tuple[Floats, list[float]]:
        """Return every class's chance at every step, and how much of the steps each crop fills.

        The chances are float32, (n, steps, classes).
        """
        widest = max(320, *(picture.width for picture in crops))
        batch = np.zeros((len(crops), 3, LINE_HEIGHT_PX, widest), np.float32)
        for row, picture in zip(batch, crops, strict=True):
            row[:, :, : picture.width] = normalised(picture)
        return run(self._recogniser, batch), [picture.width / widest for picture in crops]

    def decode(self, chances: Floats, filled: float) -> tuple[str, Floats, float]:
        """Return the likeliest text, each character's middle (0 to 1), and the mean probability."""
        best = chances.argmax(axis=1)
        first = np.ones(len(best), dtype=bool)
        first[1:] = best[1:] != best[:-1]
        steps = np.flatnonzero(first & (best > 0))
        if not len(steps):
            return "", np.zeros(0, np.float32), 0.0
        text = "".join(self._characters[index] for index in best[steps])
        middles = (steps + 0.5) / (len(best) * filled)
        confidence = float(chances[steps, best[steps]].mean())
        return text, np.clip(middles, 0, 1).astype(np.float32), confidence


def open_session(path: Path) -> ort.InferenceSession:
    """Return a network that runs on the calling thread and frees what it allocates."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, batch: Floats) -> Floats:
    """Return a network's only output.

    Raises:
        MemoryError: It failed; with the shapes we give it, for want of memory.
    """
    try:
        [output] = session.run(None, {session.get_inputs()[0].name: batch})
    except (Fail, RuntimeException) as error:
        raise MemoryError from error
    return np.asarray(output, np.float32)


def normalised(picture: Image.Image) -> Floats:
    """Return a grey picture as the networks take it: (3, height, width), from -1 to 1."""
    grey = np.asarray(picture, np.float32) / 127.5 - 1
    return np.broadcast_to(grey, (3, *grey.shape))


def is_upright(region: Region) -> bool:
    """Whether a line is written upwards or downwards."""
    return region.height > UPWARDS * region.width


def crop(page: Image.Image, region: Region) -> Image.Image:
    """Return a line cut out level, as high as the recogniser takes it."""
    turned = is_upright(region)  # written upwards, as most are
    length, height = (region.height, region.width) if turned else (region.width, region.height)
    width = max(8, min(MAX_ASPECT * LINE_HEIGHT_PX, round(LINE_HEIGHT_PX * length / height)))
    if turned or abs(region.angle) > LEVEL:
        page, box = straightened(page, region, turned=turned), None
    else:
        box = region.bounds(page.size)
    return page.resize((width, LINE_HEIGHT_PX), Image.Resampling.BILINEAR, box=box)


def straightened(page: Image.Image, region: Region, *, turned: bool) -> Image.Image:
    """Return a slanted or upright region as a level picture of its own size."""
    size = max(1, round(region.width)), max(1, round(region.height))
    across, down = cos(region.angle), sin(region.angle)
    left = region.x - (across * size[0] - down * size[1]) / 2
    top = region.y - (down * size[0] + across * size[1]) / 2
    matrix = (across, -down, left, down, across, top)
    level = page.transform(
        size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=255
    )
    return level.transpose(Image.Transpose.ROTATE_270) if turned else level
