"""The page at /docs: what this model takes, and a form to try it. Loads nothing from elsewhere."""

from __future__ import annotations

from html import escape

import orjson

from .service import Service

# The page may talk to this server and to nobody else.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SHOWN = 100
STATUSES = (
    ("200", "the predictions, one for each row, in the same order"),
    ("400, 415", "the body cannot be read; another content type"),
    ("401", "a bearer token is asked for"),
    ("413", "the body is too large"),
    ("422", "the rows do not fit the model: features, names, types, missing or infinite values"),
    ("429", "the queue is full; Retry-After says when to come back"),
    ("503", "the model is still being loaded"),
)
_STYLE = """
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{max-width:60rem;margin:2rem auto;padding:0 1rem}
textarea,pre,code{font:14px/1.4 ui-monospace,monospace}
textarea{width:100%;box-sizing:border-box;min-height:9rem}
pre{overflow:auto;padding:.75rem;border:1px solid #8886;border-radius:.4rem;white-space:pre-wrap}
table{border-collapse:collapse}td,th{text-align:left;padding:.25rem 1rem .25rem 0;vertical-align:top}
button{font:inherit;padding:.4rem 1.2rem}input{font:inherit}
"""
# Relative addresses, so that the page works behind a path prefix too.
_SCRIPT = """
const el=id=>document.getElementById(id);
el('send').onclick=async()=>{
  const out=el('answer');out.textContent='…';
  const headers={'content-type':'application/json'};
  if(el('token').value)headers.authorization='Bearer '+el('token').value;
  try{
    const found=await fetch('predict',{method:'POST',headers,body:el('body').value});
    const text=await found.text();
    let shown=text;
    try{shown=JSON.stringify(JSON.parse(text),null,1)}catch{}
    out.textContent=found.status+' '+found.statusText+'\\n'+shown;
  }catch(wrong){out.textContent='no answer: '+wrong}
};
el('curl').textContent="curl -H 'content-type: application/json' -d '"+
  el('body').value.replaceAll("'","'\\\\''")+"' "+new URL('predict',location.href).href;
"""


def page(service: Service) -> bytes:
    """The whole page as UTF-8 HTML."""
    name = escape(service.settings.model_name)
    located = service.located
    example: dict[str, object] = {"instances": []}
    facts: list[tuple[str, str]] = []
    if located is None:
        facts.append(("State", "the model is still being loaded; reload this page in a moment"))
    else:
        signature = located.signature
        example = {"instances": [signature.example]} if signature.example is not None else example
        facts.append(("Model", f"{located.path.name} ({located.format}, {signature.task})"))
        if signature.tensors:
            facts.append(("Takes", "an object of tensors: " + ", ".join(
                f"{n} ({d}, {'x'.join('any' if s is None else str(s) for s in (shape or [None])[1:])})"
                for n, d, shape in signature.tensors)))  # fmt: skip
        elif signature.n_features:
            facts.append(("Takes", f"{signature.n_features} features a row"))
        elif signature.input_shape:
            sides = ["any" if n is None else str(n) for n in signature.input_shape[1:]]
            facts.append(("Takes", "rows of shape " + ("x".join(sides) or "one value")))
        facts += _listed("In order", signature.feature_names)
        facts += _listed("Classes", signature.classes)
        facts.append(("Missing values", "taken" if signature.allows_missing else "not taken"))
    routes = [
        "/predict",
        "/invocations",
        "/score",
        f"/v1/models/{service.settings.model_name}:predict",
    ]
    facts.append(("Routes", ", ".join(f"POST {r}" for r in routes)
                  + f", and KServe V2 at /v2/models/{service.settings.model_name}/infer"))  # fmt: skip
    body = orjson.dumps(example, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>Model server: {name}</title><style>{_STYLE}</style>"
        f"<h1>Model server: {name}</h1><table>{_rows(facts)}</table>"
        "<h2>Try it</h2><p><label for=body>JSON: rows as lists, or as objects by feature name"
        f"</label></p><textarea id=body spellcheck=false>{escape(body)}</textarea>"
        "<p><label>Bearer token, where one is asked for <input id=token type=password "
        "autocomplete=off></label> <button id=send>Predict</button></p>"
        "<pre id=answer aria-live=polite>the answer comes here</pre>"
        "<h2>From a terminal</h2><pre id=curl></pre>"
        f"<h2>Answers</h2><table>{_rows(STATUSES)}</table>"
        "<p>A bare list of rows, one row, one object, CSV (text/csv) and JSON lines are taken too, "
        "and answered with a bare list. <a href=openapi.json>OpenAPI description</a>, "
        "<a href=metrics>metrics</a>.</p>"
        f"<script>{_SCRIPT}</script></html>"
    ).encode()


def _listed(label: str, values: list[str] | list[object] | None) -> list[tuple[str, str]]:
    if not values:
        return []
    more = f" … and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return [(label, ", ".join(str(v) for v in values[:SHOWN]) + more)]


def _rows(pairs: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> str:
    return "".join(f"<tr><th>{escape(a)}<td>{escape(b)}" for a, b in pairs)
