"""Check the configuration: what is wrong or risky in it, and what must be set at the provider."""

import click

from reminderd.cli.common import fail, with_config
from reminderd.config import Config, config_warnings, origin


@click.command(name="check-config")
@click.option("--online", is_flag=True, help="Also ask the provider, by reading only, whether it accepts our account.")
@with_config
def check_config(config: Config, *, online: bool) -> None:
    """Check the configuration, warn of risks and poor scripts, and print what must be set at the provider."""
    click.echo(f"configuration: {origin(config.path)}: no mistakes")
    click.echo(f"database: {config.database.path}")
    click.echo(f"provider: {config.provider.kind}")
    for concern in config_warnings(config):
        click.echo(f"warning: {concern}")
    if config.provider.kind == "sandbox":
        click.echo("all calls are simulated, and no phone rings: [provider] names the one that calls patients")
    else:
        click.echo(config.provider.settings.setup_hint(config.web.public_base_url))
    if online and config.provider.kind == "sandbox":
        click.echo("online: not checked, as the sandbox runs inside the daemon")
    elif online:
        found = _mistakes_online(config)
        if found:
            fail("\n".join(f"online: {mistake}" for mistake in found))
        click.echo("online: the provider accepts our account")


def _mistakes_online(config: Config) -> list[str]:
    # Only here: they take longer to load than all the rest of this command.
    import trio  # noqa: PLC0415

    from reminderd.daemon.clients import mistakes_online  # noqa: PLC0415

    return trio.run(mistakes_online, config)
