from typing import Any

def register(
    session: Any,
    initial_state: str = ...,
    transaction_manager: Any = ...,
    keep_session: bool = False,
) -> Any: ...
def mark_changed(session: Any, transaction_manager: Any = ..., keep_session: bool = False) -> None: ...
