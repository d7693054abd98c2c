from harness import Refused

raise Refused("no-licence", "there is no licence", "buy one")
