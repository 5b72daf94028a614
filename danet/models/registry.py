"""Which networks there are: the name in the settings, and the class that it means.

A network is imported when it is asked for. So an edit in one network's file makes no training of another one stale.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danet.models.base import SkeletonModel

CLASSES = {
    "danet": "danet.models.danet.network.DANet",
    "2s_agcn": "danet.models.agcn.TwoStreamAGCN",
    "ctr_gcn": "danet.models.ctr_gcn.CTRGCN",
    "st_gcn_pp": "danet.models.st_gcn_pp.STGCNPlusPlus",
    "dg_st_gcn": "danet.models.dg_st_gcn.DGSTGCN",
    "sgn": "danet.models.sgn.SGN",
    "skateformer": "danet.models.skateformer.SkateFormer",
    "s_tr": "danet.models.st_tr.SpatialTransformer",
    "t_tr": "danet.models.st_tr.TemporalTransformer",
}


def module_of(name: str) -> str:
    """The name of the module in which a network is written."""
    return CLASSES[name].rpartition(".")[0]


def network_class(name: str) -> "type[SkeletonModel]":
    """The class of a network, by its name in the settings."""
    return getattr(import_module(module_of(name)), CLASSES[name].rpartition(".")[2])
