"""What kind of statement a user sent: a query that DuckDB answers, catalog work, or something the lab refuses."""

from __future__ import annotations

from sqlglot import exp

_SUBSTATEMENTS: dict[type[exp.Expr], str] = {
    exp.Insert: "INSERT",
    exp.Merge: "MERGE",
    exp.Delete: "DELETE",
    exp.Update: "UPDATE",
}


def is_query(statement: exp.Expr) -> bool:
    """Whether it is a SELECT (with WITH, UNION, VALUES…)."""
    return isinstance(statement, exp.Query | exp.Values)


def keyword(statement: exp.Expr) -> str:
    """The first word of the statement, in upper case."""
    if isinstance(statement, exp.Command):
        return str(statement.this).split()[0].upper()
    return statement.key.upper()


def statement_type(statement: exp.Expr) -> str:
    """StatementType of Athena's model: DML, DDL or UTILITY."""
    if is_query(statement) or type(statement) in _SUBSTATEMENTS or keyword(statement) == "UNLOAD":
        return "DML"
    return "DDL" if keyword(statement) in ("CREATE", "DROP", "ALTER", "MSCK") else "UTILITY"


def substatement_type(statement: exp.Expr) -> str:
    """SubstatementType of Athena's model. ASSUMPTION: the names beside SELECT; the model gives no list."""
    if is_query(statement):
        return "SELECT"
    if isinstance(statement, exp.Create | exp.Drop):
        return f"{keyword(statement)}_{str(statement.args.get('kind') or '').upper()}"
    return _SUBSTATEMENTS.get(type(statement), keyword(statement))
