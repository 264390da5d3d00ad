"""The program `thaw`: its streams and signals, and one line for every error.

Until the signals are in hand it imports what is small alone, and all else after that.
"""

import os
import sys


def main() -> None:
    """Run the command, and turn every error into one line and an exit code."""
    try:
        import signal

        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` has it
                signal.signal(number, leave)
    except KeyboardInterrupt:  # which Python makes of SIGINT so far
        leave(2, None)

    from thaw.flows.interruption import Interrupted
    from thaw.flows.streams import open_streams
    from thaw.pipeline_config.errors import ThawError

    open_streams()
    debug = "--debug" in sys.argv
    if debug:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "DEBUG")
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        _check_surroundings(arguments)
        code = _call(arguments)
        sys.stdout.flush()
        sys.exit(code)
    except ThawError as error:
        _give_up(error, str(error), error.exit_code, debug)
    except Interrupted as interruption:
        message = f"{interruption}; the same command goes on from where it stopped"
        _give_up(interruption, message, interruption.exit_code, debug)
    except OSError as error:
        from thaw.tasks.artifacts.refusals import refused

        _give_up(error, refused(error), 1, debug)
    except Exception as error:  # noqa: BLE001 (the border of the program: no traceback without --debug)
        _give_up(error, f"{type(error).__name__}: {error} (Run again with --debug for the traceback.)", 1, debug)


def leave(number: int, frame: object) -> None:
    """End this process, with a line: a handler of signals for all but a flow.

    An exception may get lost on its way through the import of a library, or out of what runs at the end. Whatever thaw
    does outside of a flow may be killed at any moment.
    """
    del frame
    import signal

    try:
        line = f"thaw: interrupted by {signal.Signals(number).name}\n"
        if os.environ.get("THAW_LOG_FORMAT") == "json":
            from thaw.flows.status import end_line

            line = end_line(line.removeprefix("thaw: ").rstrip())
        os.write(2, line.encode())  # a stream may be in use just now
    finally:
        os._exit(128 + number)


def _check_surroundings(arguments: list[str]) -> None:
    """Refuse what no command could work with.

    Raises:
        RequestError: The current folder is gone, or an argument or a folder's name is no text.
    """
    from thaw.pipeline_config.errors import RequestError

    try:
        folder = os.getcwd()  # noqa: PTH109 (pathlib would be the first large import)
    except OSError as error:
        raise RequestError(
            f"The current folder cannot be used: {error.strerror}. Change to one that is there, such as with `cd`."
        ) from error
    for text in (*arguments, folder, os.environ.get("THAW_HOME", "")):
        if text.startswith("~") and os.path.expanduser(text) == text:  # noqa: PTH111 (as above)
            raise RequestError(f"{text!r} names the home folder of a user who has none. Give the whole path.")
        try:
            text.encode()  # as in JSON, which is how the recipe goes to Prefect and to the processes of the steps
        except UnicodeEncodeError as error:
            raise RequestError(
                f"{text!a} cannot be read as {sys.getfilesystemencoding()}, expected text. "
                "Use another name, or set a locale with UTF-8, such as LC_ALL=C.UTF-8."
            ) from error


def _call(arguments: list[str]) -> int:
    """Run the command without typer's own way to show errors, which is a box of many lines."""
    import typer

    from thaw.flows.cli import app
    from thaw.pipeline_config.errors import RequestError

    try:
        code = app(arguments, prog_name="thaw", standalone_mode=False) or 0
    except typer.TyperException as error:
        message = error.format_message()
        if not message:  # a command that was given nothing, and has printed its help
            return RequestError.exit_code
        context: typer.Context | None = getattr(error, "ctx", None)
        raise RequestError(f"{message} Try: {context.command_path if context else 'thaw'} --help") from error
    if code == 130:  # what typer makes of Ctrl-C where a command does nothing about it
        typer.echo("thaw: interrupted", err=True)
    return int(code)


def _give_up(error: BaseException, message: str, exit_code: int, debug: bool) -> None:
    import traceback

    from thaw.flows.status import end_line

    trace = "".join(traceback.format_exception(error)) if debug else ""
    sys.stderr.write(end_line(" ".join(message.split()), trace))
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
