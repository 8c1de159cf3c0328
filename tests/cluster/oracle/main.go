// SPDX-License-Identifier: Apache-2.0

// What the policy code of Cilium says about sets of policies, without a cluster: reads the lines of oracle_sets, and
// prints every verdict and every refused object in which it differs from what the line says. Ends with 1 if there is one.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/cilium/cilium/pkg/crypto/certificatemanager"
	"github.com/cilium/cilium/pkg/endpoint/regeneration"
	envoypolicy "github.com/cilium/cilium/pkg/envoy/policy"
	"github.com/cilium/cilium/pkg/identity"
	"github.com/cilium/cilium/pkg/k8s"
	v2 "github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2"
	"github.com/cilium/cilium/pkg/k8s/apis/cilium.io/v2/validator"
	slim "github.com/cilium/cilium/pkg/k8s/slim/k8s/api/networking/v1"
	"github.com/cilium/cilium/pkg/labels"
	"github.com/cilium/cilium/pkg/option"
	"github.com/cilium/cilium/pkg/policy"
	"github.com/cilium/cilium/pkg/policy/api"
	"github.com/cilium/cilium/pkg/policy/types"
	"github.com/cilium/cilium/pkg/policy/utils"
	testpolicy "github.com/cilium/cilium/pkg/testutils/policy"
	ctypes "github.com/cilium/cilium/pkg/types"
	"github.com/cilium/cilium/pkg/u8proto"
)

type object struct {
	Kind     string
	Rejected string
	Object   json.RawMessage
}

type check struct {
	Dir      string
	Peer     string
	Identity uint32
	IP       string
	Proto    uint8
	Port     uint16
	Verdict  string
}

type set struct {
	Name       string
	Options    map[string]any
	Subject    []string
	Ports      map[string]uint16 // "tcp/http"
	Identities map[string][]string
	Objects    []object
	Checks     []check
}

const subjectID = identity.NumericIdentity(4242)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// The endpoint whose policy is asked.
type owner struct{ ports map[string]uint16 }

func (o *owner) GetID() uint64 { return 7 }
func (o *owner) GetIngressNamedPort(name string, proto u8proto.U8proto) uint16 {
	return o.ports[strings.ToLower(proto.String())+"/"+name]
}
func (o *owner) PolicyDebug(string, ...any)                  {}
func (o *owner) IsHost() bool                                { return false }
func (o *owner) PreviousMapStateSizes() policy.MapStateSizes { return policy.MapStateSizes{} }
func (o *owner) RegenerateIfAlive(*regeneration.ExternalRegenerationMetadata) <-chan bool {
	c := make(chan bool)
	close(c)
	return c
}

func flag(s *set, key string, fallback bool) bool {
	if v, ok := s.Options[key].(bool); ok {
		return v
	}
	return fallback
}

// The cluster's name for selectors of policies, or none.
func configure(s *set) string {
	c := option.Config
	c.EnableIPv4 = flag(s, "ipv4", true)
	c.EnableIPv6 = flag(s, "ipv6", false)
	c.EnableICMPRules = flag(s, "enable-icmp-rules", true)
	c.EnableSCTP = true
	c.EnableL7Proxy = flag(s, "enable-l7-proxy", true)
	c.EnableExtendedIPProtocols = flag(s, "enable-extended-ip-protocols", false)
	c.EnableNonDefaultDenyPolicies = flag(s, "enable-non-default-deny-policies", true)
	c.EnableNodeSelectorLabels = flag(s, "enable-node-selector-labels", false)
	c.PolicyCIDRMatchMode = nil
	if l, ok := s.Options["policy-cidr-match-mode"].([]any); ok {
		for _, m := range l {
			c.PolicyCIDRMatchMode = append(c.PolicyCIDRMatchMode, m.(string))
		}
	}
	c.UnsafeDaemonConfigOption.AllowLocalhost = option.AllowLocalhostPolicy
	if flag(s, "allow-localhost", false) {
		c.UnsafeDaemonConfigOption.AllowLocalhost = option.AllowLocalhostAlways
	}
	policy.SetPolicyEnabled(option.DefaultEnforcement)
	if m, ok := s.Options["enable-policy"].(string); ok {
		policy.SetPolicyEnabled(m)
	}
	if flag(s, "policy-default-local-cluster", true) {
		return "c1"
	}
	return ""
}

type parsed struct {
	entries types.PolicyEntries
	groups  []*v2.CiliumCIDRGroup
}

// What the API server would not let in says nothing.
func refused(v *validator.NPValidator, o *object) bool {
	var u unstructured.Unstructured
	if json.Unmarshal(o.Object, &u.Object) != nil {
		return true
	}
	switch o.Kind {
	case "cnp":
		return v.ValidateCNP(&u) != nil
	case "ccnp":
		return v.ValidateCCNP(&u) != nil
	case "knp":
		return refusedSelector(u.Object["spec"])
	}
	return false
}

// What of a NetworkPolicy an API server looks at and Cilium does not: selectors, and peers that are none.
func refusedSelector(v any) bool {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if refusedSelector(e) {
				return true
			}
		}
	case map[string]any:
		for key, e := range v {
			if key == "from" || key == "to" {
				peers, _ := e.([]any)
				for _, p := range peers {
					if m, ok := p.(map[string]any); !ok || len(m) == 0 {
						return true
					}
				}
			}
			if strings.HasSuffix(key, "Selector") {
				var s metav1.LabelSelector
				text, _ := json.Marshal(e)
				if json.Unmarshal(text, &s) != nil ||
					len(validation.ValidateLabelSelector(&s, validation.LabelSelectorValidationOptions{}, field.NewPath(key))) > 0 {
					return true
				}
			}
			if refusedSelector(e) {
				return true
			}
		}
	}
	return false
}

func (p *parsed) add(o *object, cluster string) (err error) {
	var rules api.Rules
	switch o.Kind {
	case "cnp", "ccnp":
		var cnp v2.CiliumNetworkPolicy
		if err = json.Unmarshal(o.Object, &cnp); err != nil {
			return err
		}
		if o.Kind == "ccnp" {
			cnp.Namespace = ""
		}
		rules, err = cnp.Parse(quiet, cluster)
		if err == nil && len(rules) == 0 {
			err = errors.New("no rules")
		}
		if err == nil {
			p.entries = append(p.entries, utils.RulesToPolicyEntries(rules)...)
		}
	case "knp":
		var np slim.NetworkPolicy
		if err = json.Unmarshal(o.Object, &np); err != nil {
			return err
		}
		var entries types.PolicyEntries
		if entries, err = k8s.ParseNetworkPolicy(quiet, cluster, &np); err == nil {
			p.entries = append(p.entries, entries...)
		}
	case "group":
		var g v2.CiliumCIDRGroup
		if err = json.Unmarshal(o.Object, &g); err == nil {
			p.groups = append(p.groups, &g)
		}
	}
	return err
}

// Labels of an address's prefix, as the ipcache puts them together.
func groupLabels(g *v2.CiliumCIDRGroup) labels.Labels {
	l := labels.Labels{}
	for k, v := range g.Labels {
		one := labels.NewLabel(k, v, labels.LabelSourceCIDRGroup)
		l[one.Key] = one
		encoded := labels.EncodedCIDRGroupLabel(one.Key, one.Value, one.Source)
		l[encoded.Key] = encoded
	}
	ref := api.LabelForCIDRGroupRef(g.Name)
	l[ref.Key] = ref
	return l
}

func (p *parsed) prefixes() (ret []netip.Prefix) {
	seen := map[netip.Prefix]bool{}
	add := func(f netip.Prefix) {
		if f = f.Masked(); !seen[f] {
			seen[f] = true
			ret = append(ret, f)
		}
	}
	for _, e := range p.entries {
		for _, s := range e.L3 {
			for _, f := range s.GetCIDRPrefixes() {
				add(f)
			}
		}
	}
	for _, g := range p.groups {
		for _, c := range g.Spec.ExternalCIDRs {
			if f, err := netip.ParsePrefix(string(c)); err == nil {
				add(f)
			}
		}
	}
	sort.Slice(ret, func(i, j int) bool { return ret[i].Bits() > ret[j].Bits() })
	return ret
}

func (p *parsed) labelsOf(f netip.Prefix) labels.Labels {
	l := labels.Labels{}
	for _, g := range p.groups {
		for _, c := range g.Spec.ExternalCIDRs {
			outer, err := netip.ParsePrefix(string(c))
			if err == nil && outer.Bits() <= f.Bits() && outer.Contains(f.Addr()) {
				l.MergeLabels(groupLabels(g))
			}
		}
	}
	l.MergeLabels(labels.GetCIDRLabels(f))
	return l
}

func worldOf(addr netip.Addr) identity.NumericIdentity {
	switch {
	case !option.Config.EnableIPv4 || !option.Config.EnableIPv6:
		return identity.ReservedIdentityWorld
	case addr.Is4():
		return identity.ReservedIdentityWorldIPv4
	}
	return identity.ReservedIdentityWorldIPv6
}

func verdictOf(e policy.MapStateEntry, found bool) string {
	switch {
	case !found:
		return "default"
	case e.IsDeny():
		return "deny"
	case e.AuthRequirement.AuthType() != 0:
		return "auth"
	case e.ProxyPort != 0:
		return "proxy"
	}
	return "allow"
}

// Where Cilium has a proxy look into a packet, no verdict is its own. Beside denies it gives the mode of a peer's entry
// to some of the entries for ports only (authPreferredInsert() stops at the first deny it meets, in no fixed order).
func agrees(mine, cilium string) bool {
	return cilium == "proxy" || mine == cilium || (cilium == "allow" && mine == "auth")
}

// The named ports of the peers, which a cluster has from their endpoints: here from the label that repeats them.
type peerPorts struct{ m ctypes.NamedPortMultiMap }

func (p peerPorts) GetNamedPorts() ctypes.NamedPortMultiMap { return p.m }

func namedPorts(ids map[string][]string) peerPorts {
	m := ctypes.NewNamedPortMultiMap()
	for number, texts := range ids {
		var id uint32
		fmt.Sscan(number, &id)
		for _, text := range texts {
			key, value, _ := strings.Cut(text, "=")
			if !strings.HasPrefix(key, "gen:io.cilium.k8s.named-ports") {
				continue
			}
			for _, one := range strings.Split(value, "_") {
				f := strings.Split(one, ".")
				if len(f) != 3 {
					continue
				}
				port, err := strconv.Atoi(f[2])
				ports := ctypes.NamedPortMap{}
				if err == nil && ports.AddPort(f[0], port, f[1]) == nil {
					m.Update(identity.NumericIdentity(id), nil, ports)
				}
			}
		}
	}
	return peerPorts{m}
}

func (s *set) judge(v *validator.NPValidator, out io.Writer) (checks, different int, skipped bool) {
	defer func() { // an API server checks more of a NetworkPolicy than is asked here, and Cilium relies on it
		if r := recover(); r != nil {
			checks, different, skipped = 0, 0, true
		}
	}()
	cluster := configure(s)
	p := &parsed{}
	for i := range s.Objects {
		if refused(v, &s.Objects[i]) {
			return 0, 0, true
		}
	}
	for i := range s.Objects {
		o := &s.Objects[i]
		err := p.add(o, cluster)
		if (err != nil) != (o.Rejected != "") {
			different++
			fmt.Fprintf(out, "object %d: Cilium: %v, here: %q: %s\n", i, err, o.Rejected, o.Object)
		}
	}
	if different > 0 {
		return 0, different, false
	}
	ids := identity.IdentityMap{}
	for id, l := range identity.ListReservedIdentities() {
		// In 1.20 a selector that asks only for what a peer does not have ("NotIn") and for no cluster selects the
		// identities that stand for many, and so everybody, also who has it: there they are left out.
		switch id {
		case identity.ReservedIdentityAggregateCluster, identity.ReservedIdentityAggregateClusterMesh,
			identity.ReservedIdentityAggregateWorld, identity.ReservedIdentityAggregateRemoteNode:
			if cluster == "" {
				continue
			}
		}
		ids[id] = l
	}
	subject := identity.NewIdentity(subjectID, labels.NewLabelsFromModel(s.Subject))
	ids[subjectID] = subject.LabelArray
	for name, l := range s.Identities {
		var id uint32
		fmt.Sscan(name, &id)
		ids[identity.NumericIdentity(id)] = labels.NewLabelsFromModel(l).LabelArray()
	}
	prefixes := p.prefixes()
	local := map[netip.Prefix]identity.NumericIdentity{}
	for i, f := range prefixes {
		local[f] = identity.IdentityScopeLocal + identity.NumericIdentity(i+1)
		ids[local[f]] = p.labelsOf(f).LabelArray()
	}
	repo := policy.NewPolicyRepository(quiet, ids, nil, envoypolicy.NewEnvoyL7RulesTranslator(quiet, certificatemanager.NewMockSecretManagerInline()), nil, testpolicy.NewPolicyMetricsNoop())
	repo.GetSubjectSelectorCache().UpdateIdentities(identity.IdentityMap{subjectID: subject.LabelArray}, nil, &sync.WaitGroup{})
	repo.SetNamedPortsGetter(namedPorts(s.Identities))
	repo.MustAddPolicyEntries(p.entries)
	sp, _, err := repo.ComputeSelectorPolicy(subject)
	if err != nil {
		fmt.Fprintf(out, "Cilium cannot resolve the set: %v\n", err)
		return 0, 0, true
	}
	epp := sp.DistillPolicy(quiet, &owner{s.Ports}, map[string]uint16{policy.FallbackRedirectID: 65535})
	epp.Ready()
	defer epp.Detach(quiet)
	for _, c := range s.Checks {
		id := identity.NumericIdentity(c.Identity)
		if c.IP != "" {
			addr := netip.MustParseAddr(c.IP)
			id = worldOf(addr)
			for _, f := range prefixes {
				if local[f] != 0 && f.Contains(addr) {
					id = local[f]
					break
				}
			}
		}
		key := policy.IngressKey()
		if c.Dir == "out" {
			key = policy.EgressKey()
		}
		e, _, found := epp.Lookup(key.WithIdentity(id).WithPortProto(u8proto.U8proto(c.Proto), c.Port))
		checks++
		if verdict := verdictOf(e, found); verdict == "allow" && c.Verdict == "auth" {
			stricter++
		}
		if got := verdictOf(e, found); !agrees(c.Verdict, got) {
			different++
			fmt.Fprintf(out, "%s %s %d/%d: Cilium: %s, here: %s\n", c.Dir, c.Peer, c.Proto, c.Port, got, c.Verdict)
		}
	}
	return checks, different, false
}

func compact(v any) []byte {
	text, _ := json.Marshal(v) // it came from such a text
	return text
}

// Checks in which this host asks for authentication and Cilium does not.
var stricter int

func main() {
	api.InitEntities("c1")
	v, err := validator.NewNPValidator(quiet)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(2)
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	sets, skipped, checks, different, bad := 0, 0, 0, 0, 0
	for in.Scan() {
		var s set
		if err := json.Unmarshal(in.Bytes(), &s); err != nil {
			fmt.Fprintln(os.Stderr, "oracle:", err)
			os.Exit(2)
		}
		var out strings.Builder
		c, d, skip := s.judge(v, &out)
		sets++
		checks += c
		different += d
		if skip {
			skipped++
		}
		if d > 0 {
			bad++
			if bad <= 20 {
				fmt.Printf("%sin the set %q with %s:\n", out.String(), s.Name, compact(s.Options))
				for i := range s.Objects {
					fmt.Printf("  %s\n", s.Objects[i].Object)
				}
			}
		}
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(2)
	}
	fmt.Printf("%d sets, %d of them refused by the API server or not resolved by Cilium, %d checks: %d stricter, %d different in %d sets\n",
		sets, skipped, checks, stricter, different, bad)
	if different > 0 || checks == 0 || stricter > checks/1000 {
		os.Exit(1)
	}
}
