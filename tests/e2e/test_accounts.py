"""A call belongs to the account that it was placed with: another gateway would place a second one."""

from reminderd.core.model import CallState
from tests.support.clinic import Clinic
from tests.support.generic_server import Fault, GenericServer, generic_server
from tests.support.program import Program, running
from tests.support.waiting import until


async def unconfirmed(clinic: Clinic, program: Program) -> None:
    """Place a call whose answer is lost, with a provider that has keys and look-ups."""
    clinic.insert("r1")
    await clinic.provider.rang(1)
    await program.line("unconfirmed: ")


def loses_answers(clinic: Clinic) -> None:
    clinic.provider.honors_keys = clinic.provider.look_up = True
    clinic.provider.fault = lambda _number, _request: Fault.LOST_ANSWER
    clinic.configure(outcome_timeout_seconds=6)


async def until_given_up(clinic: Clinic, other: GenericServer) -> None:
    """Wait until the call is given up; check that it was neither sent to the other gateway nor looked up there."""
    await until(lambda: clinic.calls("r1")[0].state is CallState.UNREPORTED)
    assert (other.requests, other.look_ups) == ([], [])
    assert len(clinic.provider.rings) == 1


async def test_after_a_change_of_gateway_the_new_one_gets_no_old_call(clinic: Clinic) -> None:
    loses_answers(clinic)
    async with running("run", cwd=clinic.folder) as program:
        await unconfirmed(clinic, program)
        assert await program.terminate() == 0
    async with generic_server(GenericServer(honors_keys=True, look_up=True)) as other:
        clinic.configure(api_url=other.url, outcome_timeout_seconds=6)
        async with running("run", cwd=clinic.folder) as program:
            await until_given_up(clinic, other)
            assert await program.terminate() == 0


async def test_another_daemon_with_another_gateway_leaves_old_calls_alone(clinic: Clinic) -> None:
    loses_answers(clinic)
    async with (
        generic_server(GenericServer(honors_keys=True, look_up=True)) as other,
        running("run", cwd=clinic.folder) as first,
    ):
        await unconfirmed(clinic, first)
        first.suspend()
        clinic.configure(api_url=other.url, outcome_timeout_seconds=6)
        async with running("run", cwd=clinic.folder) as second:
            await until_given_up(clinic, other)
            assert await second.terminate() == 0
        first.resume()
