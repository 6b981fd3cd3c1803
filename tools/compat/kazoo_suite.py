#!/usr/bin/python3
"""kazoo's whole API and all its recipes against a server: one line a test, then the counts.

Usage: kazoo_suite.py [name…], where a name is a class or class.test. See kazoo_server.py for
the environment.
"""

import logging
import os
import sys
import time
import unittest
import warnings

import kazoo_api
import kazoo_faults
import kazoo_recipes
import kazoo_server


class Lines(unittest.TestResult):
    """Prints a line for each test."""

    def __init__(self):
        super().__init__()
        self.passed = 0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def line(self, word, test):
        name = "%s.%s" % (type(test).__name__, test._testMethodName)
        print("%-4s kazoo %s (%.1f s)" % (word, name, time.monotonic() - self.began), flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1
        self.line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("skip", test)

    def addError(self, test, err):
        super().addError(test, err)
        self.line("FAIL", test)
        print(self.errors[-1][1], flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.line("FAIL", test)
        print(self.failures[-1][1], flush=True)


def main(names):
    logging.basicConfig(level=logging.CRITICAL)
    warnings.filterwarnings("ignore", "No chroot path exists")  # made right after the start
    if kazoo_server.target() != "java" and not os.path.exists(os.environ.get("MEERKAT_BIN", "")):
        sys.exit("MEERKAT_BIN must name a built meerkat (or TARGET=java)")
    loader, suite = unittest.TestLoader(), unittest.TestSuite()
    for module in (kazoo_api, kazoo_recipes, kazoo_faults):
        if not names:
            suite.addTests(loader.loadTestsFromModule(module))
        for name in names:
            if hasattr(module, name.split(".")[0]):
                suite.addTests(loader.loadTestsFromName(name, module))
    result = Lines()
    try:
        suite.run(result)
    finally:
        kazoo_server.remove_shared_server()
    failed = len(result.errors) + len(result.failures)
    print("kazoo: %d passed, %d failed" % (result.passed, failed))
    return 1 if failed or not result.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
