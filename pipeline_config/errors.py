"""Every error that thaw raises on purpose, and the exit code that the command gives for it.

ThawError
├── RequestError          what was asked for cannot be done      exit 2
│   ├── RecipeError       a key, a value or an option is wrong
│   └── DatasetError      the images or their folders are wrong
├── ArtifactError         a stored file fails its check          exit 1
├── UnreadableError       a file that is there cannot be read     exit 1
├── DownloadError         a file cannot be fetched               exit 1
├── TrainingError         a loss that is not finite              exit 1
├── StepProcessError      a step's process died                  exit 1
│   └── DeadlineError     it ran too long, and was ended       exit 1
├── HomeInUseError        a run is going on in the home folder   exit 1
├── NewerVersionError     a later thaw wrote the file        exit 1
├── ServerError           Prefect, or its server, fails us       exit 1
└── PublishError          nothing was published                  exit 1

A message is one line: what was received, what was expected, and how to put it right. Whatever it was made of, it is cut
to `LONGEST_MESSAGE`, and no address in it holds a secret.
"""

from thaw.pipeline_config.messages import one_line


class ThawError(Exception):
    """Base of all errors that are reported to the user as one line."""

    exit_code = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(one_line(message))


class RequestError(ThawError):
    """What was asked for cannot be done as asked; asking again unchanged cannot help."""

    exit_code = 2


class RecipeError(RequestError):
    """A recipe's key or value, or an option of the command, is wrong."""


class DatasetError(RequestError):
    """The images or the folders that hold them are not what training needs."""


class ArtifactError(ThawError):
    """A file in the home folder is missing, damaged or cannot be written."""


class UnreadableError(ThawError):
    """A file cannot be read for a reason of the machine, such as permissions; nothing is known of its content."""


class DownloadError(ThawError):
    """A file cannot be fetched from the network; another attempt may succeed."""


class TrainingError(ThawError):
    """Training cannot go on, for example because the loss is not finite."""


class StepProcessError(ThawError):
    """The process that does a step's work died or was killed; another attempt may succeed."""


class DeadlineError(StepProcessError):
    """The process that does a step's work passed its deadline and was ended; another attempt would take as long."""


class HomeInUseError(ThawError):
    """What needs the home folder to itself cannot be done while a run is going on in it."""


class NewerVersionError(ThawError):
    """A home folder, or a document in it, was written by a later version of thaw; nothing of it is touched."""


class ServerError(ThawError):
    """Prefect cannot be used as it is set up, or its server did not start, does not answer or refuses."""


class PublishError(ThawError):
    """A release could not be written or promoted; the champion is as it was."""


def error_class(name: str) -> type[ThawError]:
    """Find an error class of this tree by its name, so that an error can cross a process boundary, else the base."""
    classes: list[type[ThawError]] = [ThawError]
    for each in classes:  # which grows on the way
        classes.extend(each.__subclasses__())
    return next((each for each in classes if each.__name__ == name), ThawError)
