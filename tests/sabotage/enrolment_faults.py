"""Faults in who is taken in, and in what an office becomes: keys/ and what the daemon makes of it."""

from typing import Final

from tests.sabotage.fault import Fault, fault

_VECTORS = "tests/test_vectors.py"
_CANDIDATE = "tests/keys/test_candidate.py::test_g10_only_the_networks_own_answer_to_this_very_request_enters"
_OLDER = "tests/keys/test_candidate.py::test_g12_g14_an_answer_that_is_older_than_the_home_is_refused"
_MEMBERSHIP = "tests/keys/test_membership.py"
_CHANGES = "tests/keys/test_reorganisation.py"
_SCENE = "tests/sim/test_scenes.py"

ENROLMENT_FAULTS: Final[tuple[Fault, ...]] = (
    fault("G10", "a request need not be signed by the identity key that it names", "keys/enrol/enrolment.py",
          "    record.verify(REQUEST, request.identity)\n", "", _VECTORS),
    fault("G10", "a request need not be signed by its second key", "keys/enrol/enrolment.py",
          "    if not verify_mldsa(request.second, second, REQUEST, record.payload):", "    if False:", _VECTORS),
    fault("G10", "a certificate request may be copied out of another request", "keys/enrol/enrolment.py",
          "found.address != request.address or found.nonce != request.nonce", "found.address != request.address",
          _VECTORS),
    fault("G10", "a key may be used twice", "keys/roster/membership.py",
          "            if public in holders and (", "            if False and (", _MEMBERSHIP),
    fault("G10", "an answer to another request enters a home", "keys/enrol/candidate.py",
          "    if response.request != request.digest:", "    if False:", _CANDIDATE),
    fault("G10", "an answer need not be signed by the network", "keys/enrol/response.py",
          "            record.verify(RESPONSE, public)\n", "", _CANDIDATE),
    fault("G14", "an answer older than the home is taken for good", "keys/enrol/candidate.py",
          '    if result.code == "TRUST_ROLLBACK":', "    if False:", _OLDER),
    fault("G10", "an office may take an address that another office had", "keys/roster/directory.py",
          "names.setdefault(name, office_id) == office_id", "names.setdefault(name, office_id) is not None", _CHANGES),
    fault("G1", "an office that was renamed does not know its old name", "relay/ground.py",
          "        return self.directory.names_of(self.identity.office)\n",
          "        return frozenset((self.me.address,))\n", _SCENE, quick=False),
    fault("G1", "a renamed office is looked for on brokers under its new name", "keys/roster/office_record.py",
          "        return self.former[0] if self.former else self.address\n", "        return self.address\n",
          _CHANGES),
    fault("G10", "what was written before a change is judged by what holds after it", "keys/roster/directory.py",
          "bisect_right(self._dates, at_us)", "-1", _CHANGES),
)  # fmt: skip
