"""A test module with one test for each way in which a test can end."""

import asyncio
import os
import signal
import time
import unittest


class EndingTests(unittest.TestCase):
    def test_a_passes(self):
        asyncio.run(asyncio.sleep(0))

    def test_b_fails(self):
        asyncio.run(asyncio.sleep(0))
        self.fail('as it should')

    def test_c_raises(self):
        asyncio.new_event_loop().close()
        raise KeyError('lost')

    def test_d_is_skipped(self):
        self.skipTest('not here')

    def test_e_crashes(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def test_f_hangs(self):
        time.sleep(60)

    def test_g_passes_after_them(self):
        asyncio.new_event_loop().close()

    def test_h_fails_in_a_subtest(self):
        for number in range(3):
            with self.subTest(number=number):
                if number == 1:
                    self.fail('in the middle')

    def test_i_makes_no_loop(self):
        time.time()

    def test_j_starts_a_process(self):
        async def start():
            process = await asyncio.create_subprocess_exec('true')
            await process.wait()

        asyncio.run(start())

    def test_k_makes_a_loop_in_a_child(self):
        pid = os.fork()
        if pid == 0:
            asyncio.new_event_loop().close()
            os._exit(0)
        os.waitpid(pid, 0)

    def test_l_goes_behind_the_back(self):
        asyncio.run(asyncio.sleep(0))
        asyncio.unix_events._UnixSelectorEventLoop().close()


class BrokenFixtureTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise RuntimeError('no fixture')

    def test_never_run(self):
        pass


class ExitTests(unittest.TestCase):
    def test_leaves_a_crash_for_the_exit(self):
        import atexit

        atexit.register(os.kill, os.getpid(), signal.SIGSEGV)


class AnotherLoop(asyncio.SelectorEventLoop):
    """A loop under test that is not asyncio's: it differs in nothing but in its type."""


class ForgetfulLoop(asyncio.SelectorEventLoop):
    """A loop under test that cannot start processes."""

    async def subprocess_exec(self, *args, **kwargs):
        raise NotImplementedError
