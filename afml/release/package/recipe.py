"""README.md of a package: how to check it, and how to reproduce the utility that it states, with three tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

README_FILE = "README.md"

_PANDAS = """\
import pandas as pd
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
scores, traits = (pd.read_csv(name, sep="\\t", index_col="#IID") for name in ("scores.tsv", "phenotypes.tsv"))
for trait in traits:
    x, y, binary = scores[["score_" + trait]], traits[trait], set(traits[trait]) <= {0, 1}
    model = (LogisticRegression() if binary else LinearRegression()).fit(x[::2], y[::2])
    told = model.decision_function(x[1::2]) if binary else pd.Series(model.predict(x[1::2]), y.index[1::2])
    print(trait, "AUC" if binary else "R2", roc_auc_score(y[1::2], told) if binary else max(0, told.corr(y[1::2])) ** 2)
"""

_R = """\
scores <- read.delim("scores.tsv", check.names = FALSE)
traits <- read.delim("phenotypes.tsv", check.names = FALSE)
tested <- seq_len(nrow(traits)) %% 2 == 0
for (trait in names(traits)[-1]) {
  d <- data.frame(y = traits[[trait]], x = scores[[paste0("score_", trait)]]); binary <- all(d$y %in% 0:1)
  fit <- glm(y ~ x, if (binary) binomial() else gaussian(), data = d[!tested, ])
  told <- predict(fit, d[tested, ]); y <- d$y[tested]
  auc <- (mean(rank(told)[y == 1]) - (sum(y == 1) + 1) / 2) / sum(y == 0)
  cat(trait, if (binary) "AUC" else "R2", if (binary) auc else max(0, cor(told, y))^2, "\\n")
}
"""

# plink2 regresses on variants alone, so that each score becomes the dosage of a made-up one, stretched to [0, 2]. It
# keeps its files apart: whatever is added to a package is no part of it.
_PLINK2 = """\
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT
awk -F '\\t' 'NR == 1 { n = NF; for (c = 3; c <= n; c++) name[c] = substr($c, 7); next }
  { id[NR] = $1; for (c = 3; c <= n; c++) { v[c, NR] = $c
    if (NR == 2 || $c + 0 < lo[c]) lo[c] = $c + 0; if (NR == 2 || $c + 0 > hi[c]) hi[c] = $c + 0 } }
  END { print "##fileformat=VCFv4.3\\n##contig=<ID=1>\\n##FORMAT=<ID=DS,Number=1,Type=Float,Description=\\"score\\">"
    printf "#CHROM\\tPOS\\tID\\tREF\\tALT\\tQUAL\\tFILTER\\tINFO\\tFORMAT"
    for (r = 2; r <= NR; r++) printf "\\t%s", id[r]; print ""
    for (c = 3; c <= n; c++) { printf "1\\t%d\\t%s\\tA\\tC\\t.\\t.\\t.\\tDS", c, name[c]
      for (r = 2; r <= NR; r++) printf "\\t%.5f", 2 * (v[c, r] - lo[c]) / (hi[c] - lo[c] + 1e-9); print "" } }
  ' scores.tsv > $T/scores.vcf
awk 'NR > 1 { print $1 > (T "/" (NR % 2 ? "test" : "train")) }' T=$T phenotypes.tsv
plink2 --vcf $T/scores.vcf dosage=DS --make-pgen --out $T/scores > $T/log
for t in $(head -1 phenotypes.tsv | cut -f 2-); do
  trait="--pfile $T/scores --pheno phenotypes.tsv --1 --pheno-name $t"
  plink2 $trait --keep $T/train --glm allow-no-covars --out $T/fit > $T/log
  awk -v t=$t 'NR == 1 { for (c = 1; c <= NF; c++) at[$c] = c; next }
    $at["ID"] == t { print t, $at["A1"], ("OR" in at) ? log($at["OR"]) : $at["BETA"] }' $T/fit.$t.glm.* > $T/effect
  plink2 $trait --keep $T/test --score $T/effect no-mean-imputation --out $T/told > $T/log
  awk -v t=$t 'NR == 1 { for (c = 1; c <= NF; c++) at[$c] = c; next } { print $at["SCORE1_AVG"], $at[t] }
    ' $T/told.sscore | sort -g | awk -v t=$t '
    { s[NR] = $1; y[NR] = $2; if ($2 != 1 && $2 != 2) number = 1
      sx += $1; sy += $2; sxx += $1 * $1; syy += $2 * $2; sxy += $1 * $2 }
    END { r2 = (NR * sxy - sx * sy) / sqrt((NR * sxx - sx * sx) * (NR * syy - sy * sy) + 1e-30)
      for (i = 1; i <= NR; i = j) { for (j = i; j <= NR && s[j] == s[i]; j++);
        for (m = i; m < j; m++) if (y[m] == 2) { r += (i + j - 1) / 2; k++ } }
      if (number) print t, "R2", r2 < 0 ? 0 : r2 * r2; else print t, "AUC", (r - k * (k + 1) / 2) / (k * (NR - k)) }'
done
"""

#: Tool -> (language of the block, code).
RECIPES: Mapping[str, tuple[str, str]] = {"pandas": ("python", _PANDAS), "plink2": ("sh", _PLINK2), "R": ("r", _R)}


def readme(card: Mapping[str, Any]) -> str:
    """README.md of a package.

    Args:
        card: Its card.
    """
    lines = [
        f"# Release {card['version']} of run {card['run']}: how to use it", "",
        "`release_card.md` says what these records are good for and what not. Check them before you use them:", "",
        "    afml release verify . --roster roster.json", "",
        "The roster comes from the consortium, not with the package. `scores.tsv` has what the codebook says of "
        "every record: train on these scores, and not on the columns of the released file, nearly all masked.", "",
        *([f"**Released although {card['at_chance']}.**", ""] if card["at_chance"] else []),
    ]  # fmt: skip
    if card["phenotypes"] is None:
        lines.append("The package tells no trait of anybody, so nothing can be learned or tested with it alone.")
        return "\n".join(lines) + "\n"
    lines += [
        "## The stated utility, reproduced", "",
        "Every other record trains, beginning with the first one, and the others are tested. With this folder as the "
        "current one, each of these prints the figures of the card; where they differ in the last digits, they stay "
        "within the card's interval.", "",
        "| trait | stated | 95 % interval |", "|---|---|---|",
    ]  # fmt: skip
    for one in card["utility"]:
        measure = "AUC" if one["measure"] == "auc" else "R^2"
        if one["value"] is None:
            lines.append(f"| {one['trait']} | too few people tell | |")
        else:
            lines.append(f"| {one['trait']} | {measure} {one['value']} | {one['ci95'][0]} to {one['ci95'][1]} |")
    for tool, (language, code) in RECIPES.items():
        with_ = {"pandas": "pandas and scikit-learn", "R": "R, nothing beyond base"}.get(tool, tool)
        lines += ["", f"### With {with_}", "", f"```{language}", code.rstrip("\n"), "```"]
    return "\n".join(lines) + "\n"
