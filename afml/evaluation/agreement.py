"""What a release is not good for: allele frequencies and association scans of the released files, beside raw.

A masked genotype under fill 'major' looks like a homozygous call. These figures say what becomes of analyses
that take it for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from afml.evaluation.attacks.base import MASKED, Float64, Int8, row_blocks

NEAR = 0.01
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class FrequencyAgreement:
    """Minor-allele frequencies of the release against those of the raw data.

    Attributes:
        mean_error: Mean absolute difference over sites.
        within_one_percent: Share of sites whose frequency is off by at most 0.01.
        correlation: Pearson correlation over sites; None where one side does not vary.
        panel_mean_error: Mean absolute difference of the *public panel*: what a user gets without a release.
        sites_without_calls: Sites at which the release shows nobody's genotype; left out of the above.
    """

    mean_error: float
    within_one_percent: float
    correlation: float | None
    panel_mean_error: float
    sites_without_calls: int


def frequencies(dosage: Int8) -> Float64:
    """float64[S]: minor-allele frequency among called genotypes; NaN where there is none."""
    total, people = np.zeros(dosage.shape[1]), np.zeros(dosage.shape[1])
    for part in row_blocks(dosage):
        called = dosage[part] != MASKED
        total += np.where(called, dosage[part], 0).sum(axis=0)
        people += called.sum(axis=0)
    return np.asarray(np.divide(total, 2.0 * people, out=np.full_like(total, np.nan), where=people > 0))


def frequency_agreement(released: Int8, dosage: Int8, panel: Int8) -> FrequencyAgreement:
    """Compare frequencies, int8[n, S] released and raw, int8[p, S] panel."""
    shown, true, public = frequencies(released), frequencies(dosage), frequencies(panel)
    usable = ~np.isnan(shown) & ~np.isnan(true)
    error = np.abs(shown - true)[usable]
    if not usable.any():
        return FrequencyAgreement(0.0, 0.0, None, _mean_gap(public, true), len(shown))
    varies = min(shown[usable].std(), true[usable].std()) > 1e-12
    return FrequencyAgreement(
        mean_error=float(error.mean()),
        within_one_percent=float((error <= NEAR).mean()),
        correlation=float(np.corrcoef(shown[usable], true[usable])[0, 1]) if varies else None,
        panel_mean_error=_mean_gap(public, true),
        sites_without_calls=int(np.isnan(shown).sum()),
    )


def _mean_gap(left: Float64, right: Float64) -> float:
    gap = np.abs(left - right)
    known = ~np.isnan(gap)
    return float(gap[known].mean()) if known.any() else 0.0


@dataclass(frozen=True)
class ScanAgreement:
    """An association scan on the release against the same scan on raw data, everybody taken.

    Attributes:
        threshold: P value of a hit: 0.05 / sites.
        raw_hits: Hits on raw data.
        released_hits: Hits on the release.
        shared_hits: Sites that are hits in both, with the same direction of effect.
        false_hits: Hits on the release that are none on raw data: what it would make a reader believe.
        effect_correlation: Correlation of signed z scores over sites that vary in both; None for fewer than 3.
    """

    threshold: float
    raw_hits: int
    released_hits: int
    shared_hits: int
    false_hits: int
    effect_correlation: float | None


def trend_z(dosage: Int8, phenotype: NDArray[np.int8]) -> Float64:
    """Signed square root of the Cochran-Armitage trend statistic; 0 where a site does not vary.

    z = sqrt(n) * correlation of dosage and phenotype among people with a call (Armitage 1955).

    Args:
        dosage: int8[n, S].
        phenotype: int8[n] or [n, D] in {0, 1}.

    Returns:
        float64[S] or [D, S].
    """
    y = phenotype.reshape(len(phenotype), -1)
    sites = dosage.shape[1]
    n, sum_x, sum_xx = np.zeros(sites), np.zeros(sites), np.zeros(sites)
    sum_y, sum_xy = np.zeros((y.shape[1], sites)), np.zeros((y.shape[1], sites))
    for part in row_blocks(dosage):  # sums of whole numbers are exact, in whatever parts
        called = (dosage[part] != MASKED).astype(np.float32)
        x = dosage[part] * called
        cases = y[part].T.astype(np.float32)
        n += called.sum(axis=0, dtype=np.float64)
        sum_x += x.sum(axis=0, dtype=np.float64)
        sum_xx += np.square(x).sum(axis=0, dtype=np.float64)
        sum_y += cases @ called
        sum_xy += cases @ x
    people = np.maximum(n, 1)
    mean_x, mean_y = sum_x / people, sum_y / people
    # y is 0 or 1, so its sum of squares is its sum.
    var_x = sum_xx / people - mean_x**2
    var_y = mean_y - mean_y**2
    covariance = sum_xy / people - mean_x * mean_y
    spread = np.sqrt(np.maximum(var_x, 0) * np.maximum(var_y, 0))
    z = np.sqrt(n) * np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    return np.asarray(z if phenotype.ndim > 1 else z[0])


def scan_agreement(released: Int8, dosage: Int8, phenotype: NDArray[np.int8]) -> ScanAgreement:
    """Compare scans, int8[n, S] released and raw, int8[n] in {0, 1}."""
    return agreed(trend_z(released, phenotype), trend_z(dosage, phenotype))


def agreed(shown: Float64, raw: Float64) -> ScanAgreement:
    """Compare scans of one phenotype, float64[S] by `trend_z`, released and raw."""
    threshold = SIGNIFICANCE / len(raw)
    bar = np.sqrt(chi2.isf(threshold, df=1))
    raw_hit, shown_hit = np.abs(raw) >= bar, np.abs(shown) >= bar
    both = (raw != 0) & (shown != 0)
    shared = raw_hit & shown_hit & (np.sign(raw) == np.sign(shown))
    correlation = None
    if both.sum() >= 3 and min(raw[both].std(), shown[both].std()) > 1e-12:
        correlation = float(np.corrcoef(raw[both], shown[both])[0, 1])
    return ScanAgreement(
        threshold, int(raw_hit.sum()), int(shown_hit.sum()), int(shared.sum()), int((shown_hit & ~shared).sum()),
        correlation,
    )  # fmt: skip
