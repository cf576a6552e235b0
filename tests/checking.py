"""How annotations are checked while tests run: shapes by jaxtyping, types by beartype, an int may stand for a float."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
