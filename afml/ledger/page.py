"""The one-page report of a ledger: HTML without scripts, fonts or anything from a network."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Privacy ledger {{ s.origin }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin-bottom: 0 } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #d8dee4; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
.ok { color: #116329; font-weight: 600 } .bad { color: #a40e26; font-weight: 600 }
pre { background: #f6f8fa; padding: .6rem; overflow-x: auto; font-size: .8rem }
.wide { overflow-x: auto } .small { color: #57606a; font-size: .85rem }
@media (prefers-color-scheme: dark) { body { background: #0d1117; color: #e6edf3 }
  th, td { border-color: #30363d } pre { background: #161b22 } .small { color: #9198a1 }
  .ok { color: #3fb950 } .bad { color: #ff7b72 } }
@media print { body { max-width: none; margin: 0 } }
</style>
</head>
<body>
<h1>Privacy ledger of {{ s.origin }}</h1>
<p class="small">{{ s.entries }} entries{% if s.bodies %}, {{ iso(s.bodies[0].time_ms) }} to
{{ iso(s.bodies[-1].time_ms) }}{% endif %}; {{ s.withdrawals }} withdrawals of consent;
{{ s.releases | length }} releases</p>
<p>Verification: {% if v.ok %}<span class="ok">nothing found</span>{% else %}
<span class="bad">{{ v.findings | length }} findings</span>{% endif %}</p>
{% if s.insecure %}
<p class="bad">Some entries are from simulations with seeded randomness: they protect nobody.</p>
{% endif %}
{% if v.findings %}
<table><thead><tr><th>finding</th><th>where</th><th>what</th></tr></thead><tbody>
{% for f in v.findings %}
<tr><td class="bad">{{ f.code }}</td><td>{{ f.where }}</td><td>{{ f.problem }}
<br><span class="small">{{ codes[f.code] }}</span></td></tr>
{% endfor %}
</tbody></table>
{% endif %}
<ul class="small">{% for line in v.checked %}<li>checked: {{ line }}</li>{% endfor %}</ul>

<h2>Cohorts</h2>
<div class="wide"><table><thead><tr><th>cohort</th><th class="n">people</th><th class="n">epsilon</th>
<th class="n">delta</th><th class="n">PLE (sigma)</th><th class="n">epsilon if aggregation is broken</th>
<th class="n">limit</th><th class="n">left</th></tr></thead><tbody>
{% for c in s.cohorts %}
<tr><td><code>{{ c.name }}</code></td><td class="n">{{ c.people }}</td>
<td class="n">{{ "%.3f" | format(c.total.epsilon) }}</td><td class="n">{{ c.total.delta }}</td>
<td class="n">{{ "%.3f" | format(c.total.sigma) }}</td>
<td class="n">{{ "%.3f" | format(c.broken.epsilon) }}</td>
{% if c.standing %}<td class="n">{{ "%.3g" | format(c.standing.limit) }}</td>
<td class="n">{{ "%.3g" | format(c.standing.left) }}</td>{% else %}<td></td><td></td>{% endif %}</tr>
{% endfor %}
</tbody></table></div>
<p class="small">A cohort's spend is that of the person in it who spent most, over all runs of this
institution. PLE is a distance in sigma: with PLE 1, telling whether a person took part is at best as
easy as telling one draw of N(0, 1) from one of N(1, 1).</p>

{% for c in s.cohorts %}
<h2>Runs of cohort <code>{{ c.name }}</code></h2>
<div class="wide"><table><thead><tr><th>run</th><th class="n">spends</th><th>noise</th>
<th class="n">epsilon</th><th class="n">PLE interval (audited, accounted)</th>
<th class="n">epsilon if aggregation is broken</th></tr></thead><tbody>
{% for r in c.runs %}
<tr><td>{{ r.run }}{% if r.insecure %} <span class="bad">insecure</span>{% endif %}</td>
<td class="n">{{ r.rounds | length }}</td><td>{{ r.noise }}</td>
<td class="n">{{ "%.3f" | format(r.own.epsilon) }}</td>
<td class="n">{% if r.audited is not none %}{{ "%.3f" | format(r.audited) }}{% else %}not audited{% endif %},
{{ "%.3f" | format(r.own.sigma) }}</td>
<td class="n">{{ "%.3f" | format(r.broken.epsilon) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endfor %}

{% if v.agreements %}
<h2>Two accountants</h2>
<div class="wide"><table><thead><tr><th>run</th><th class="n">people</th><th class="n">epsilon recorded</th>
<th class="n">recomputed</th><th class="n">PLE recorded</th><th class="n">recomputed</th></tr></thead><tbody>
{% for a in v.agreements %}
<tr><td>{{ a.run }}</td><td class="n">{{ a.people }}</td><td class="n">{{ "%.4f" | format(a.epsilon) }}</td>
<td class="n">{{ "%.4f" | format(a.epsilon_recomputed) }}</td>
<td class="n">{{ "%.4f" | format(a.ple_sigma) }}</td>
<td class="n">{{ "%.4f" | format(a.ple_sigma_recomputed) }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}

{% if s.releases %}
<h2>Releases</h2>
<div class="wide"><table><thead><tr><th>time</th><th>file (SHA-256)</th><th class="n">people</th>
<th class="n">patterns</th><th class="n">smallest group with earlier releases</th></tr></thead><tbody>
{% for r in s.releases %}
<tr><td>{{ iso(r.time_ms) }}</td><td><code>{{ r.file_digest[:16] }}</code></td>
<td class="n">{{ r.people }}</td>
<td class="n">{{ r.patterns }}</td><td class="n">{{ r.smallest_joint_group }}</td></tr>
{% endfor %}
</tbody></table></div>
{% endif %}

<h2>Signed head</h2>
<pre>{{ s.checkpoint }}</pre>
</body>
</html>
"""
