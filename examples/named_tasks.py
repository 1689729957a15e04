"""Several functions in one queue, each pushed by its name with the arguments that it takes.

    $ python -m examples.named_tasks
    count gave [4, 3]
    tire gave worn out in run 2
    shout.push: missing a required argument: 'text'
    here: HELLO!

A type checker finds the third, too, and so the line that does it says that it is meant.
"""

from ipcq import Attempt, MemoryStorage, Monitor, TaskQueue

texts = TaskQueue("memory://named-tasks")  # connected when it is first used
FIRST = Attempt(1)


@texts.task
def count(text: str, *, longer_than: int = 5) -> list[int]:
    words = text.split()
    return [len(words), sum(len(word) > longer_than for word in words)]


@texts.task(max_attempts=2)
def tire(run: Attempt = FIRST) -> str:  # the worker says which run it is
    if run < 2:
        raise TimeoutError("try again")
    return f"worn out in run {run:d}"


@texts.task
def shout(text: str) -> str:
    return f"{text.upper()}!"


if __name__ == "__main__":
    with texts, Monitor(texts.backend, texts, workers=2):
        counted = count.options(priority=2).push("the quick brown foxes", longer_than=4)
        tired = tire.push()
        print("count gave", counted.wait(timeout=60))
        print("tire gave", tired.wait(timeout=60))
        try:
            shout.push()  # type: ignore[call-arg]
        except TypeError as error:
            print(error)
        print("here:", shout("hello"))
    MemoryStorage("named-tasks").destroy()
