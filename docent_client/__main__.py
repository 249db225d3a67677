"""``python -m docent_client``: the command ``docent``."""

import sys

from docent_client.command import main

if __name__ == "__main__":
    sys.exit(main())
