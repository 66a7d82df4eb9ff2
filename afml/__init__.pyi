from afml import privacy as privacy
from afml.api.cohort import Cohort as Cohort
from afml.api.local import LocalConsortium as LocalConsortium
from afml.api.trained import Trained as Trained
from afml.api.verbs import evaluate as evaluate
from afml.api.verbs import mask as mask
from afml.api.verbs import prepare as prepare
from afml.api.verbs import reassess as reassess

__version__: str
