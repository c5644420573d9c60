"""The page's start: Gradio is imported without the stub files that it writes for editors."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import gc, inspect, json, sys
from lesion_demo.web.quick_import import quick_import

find, opened = inspect.getfile, set()
sys.addaudithook(lambda event, found: opened.add(str(found[0])) if event == "open" else None)
with quick_import():
    import lesion_demo.web.page
stubs, late = (sorted(names) for names in (
    (name for name in opened if name.endswith(".pyi")), {"fpdf", "matplotlib"} & set(sys.modules)
))
print(json.dumps([stubs, late, gc.isenabled(), inspect.getfile is find]))
"""


def test_gradio_is_imported_without_stub_files_and_the_page_without_what_only_a_report_needs() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], [], True, True]
