"""The flow's process publishes and lists without TensorFlow."""

import subprocess
import sys


def test_the_registry_is_imported_without_tensorflow_or_prefect():
    modules = "thaw.tasks.publishing.publish, thaw.tasks.publishing.predict_request, thaw.tasks.publishing.step"
    program = f"import sys, {modules}; print([n for n in ('tensorflow', 'keras', 'prefect') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
