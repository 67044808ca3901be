"""PlatformIO platform of this project: system compilers, no downloads."""

import importlib.util
import json
from pathlib import Path

from platformio.dependencies import get_core_dependencies
from platformio.platform.base import PlatformBase

SHIM = "import sys\n\nfrom SCons.Script import main\n\nsys.exit(main())\n"


class TinymiaPlatform(PlatformBase):
    """Offers the SCons of this Python under the version that PlatformIO asks for.

    Where SCons is not installed beside PlatformIO (its own installer), PlatformIO
    downloads the package as usual.
    """

    def __init__(self, manifest_path):
        super().__init__(manifest_path)
        if importlib.util.find_spec("SCons") is None:
            return
        # Core wants "~4.41101.0": the lowest version that satisfies it is enough.
        version = get_core_dependencies()["tool-scons"].lstrip("~^=> ")
        folder = Path(self.config.get("platformio", "core_dir")) / "tool-scons-shim"
        manifest = json.dumps({"name": "tool-scons", "version": version})
        for name, text in (("package.json", manifest), ("scons.py", SHIM)):
            path = folder / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                folder.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
        self.packages["tool-scons"] = {"owner": "platformio", "version": f"symlink://{folder}"}
