import os
import sys

open(os.path.join(sys.argv[1], "outputs.json"), "w").write("[")
os._exit(0)
