package privilege

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// exercise is what a process needs a right for.
type exercise struct {
	// without is what fails without it, in a user's words.
	without string
	// prepare is done while the process does not run; act again and again while it does.
	prepare, act func(ctx context.Context) error
	// done returns nil once it has come about; nil if that cannot be told from outside.
	done func(ctx context.Context) error
	// after mends what prepare and act have left.
	after func(ctx context.Context) error
}

// newExercise returns the exercise of a right with objects of its own.
type newExercise func(w *world) exercise

// watched are the rights without which a process does not know what there is.
func watched(list map[string]newExercise, ready func(w *world, ctx context.Context) error, kinds map[string]string) {
	for kind, why := range kinds {
		list["list "+kind] = func(w *world) exercise {
			return exercise{
				without: why,
				done:    func(ctx context.Context) error { return ready(w, ctx) },
			}
		}
		list["watch "+kind] = func(w *world) exercise {
			return exercise{without: "changes are noticed late: the list is read again, ever more rarely"}
		}
	}
}

var fairleadKinds = []string{"ipaddresspools", "l2advertisements", "bgpadvertisements", "bgppeers", "bfdprofiles", "communities"}

// of is the kind in the API group.
func of(kind string) string { return kind + ".fairlead.dev" }

// controllerExercises are, by right, what the controller does with it.
func controllerExercises() map[string]newExercise {
	list := map[string]newExercise{}
	notReady := "it is not ready and decides nothing"
	kinds := map[string]string{"services": notReady, "namespaces": notReady, "nodes": notReady, of("speakers"): notReady}
	for _, k := range fairleadKinds {
		kinds[of(k)] = notReady
	}
	watched(list, func(w *world, ctx context.Context) error { return ready(ctx, w.CP, lab.ControllerHTTPPort) }, kinds)

	list["get services"] = func(w *world) exercise {
		name := w.name("turned")
		return exercise{
			without: "a Service that is no load balancer any more keeps the condition `fairlead.dev/Assigned`",
			prepare: func(ctx context.Context) error { return w.service(ctx, name) },
			act: func(ctx context.Context) error {
				s, err := w.Kubernetes.CoreV1().Services("default").Get(ctx, name, metav1.GetOptions{})
				if err != nil || len(s.Status.Conditions) == 0 || s.Spec.Type == corev1.ServiceTypeClusterIP {
					return err
				}
				patch := []byte(`{"spec": {"type": "ClusterIP", "allocateLoadBalancerNodePorts": null}}`)
				_, err = w.Kubernetes.CoreV1().Services("default").Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
				return err
			},
			done: func(ctx context.Context) error {
				s, err := w.Kubernetes.CoreV1().Services("default").Get(ctx, name, metav1.GetOptions{})
				if err == nil && (len(s.Status.Conditions) > 0 || s.Spec.Type != corev1.ServiceTypeClusterIP) {
					err = fmt.Errorf("type %s, conditions %v", s.Spec.Type, s.Status.Conditions)
				}
				return err
			},
		}
	}
	list["patch services/status"] = func(w *world) exercise {
		name := w.name("status")
		return exercise{
			without: "no Service gets an address", prepare: func(ctx context.Context) error { return w.service(ctx, name) },
			done: func(ctx context.Context) error {
				s, err := w.Kubernetes.CoreV1().Services("default").Get(ctx, name, metav1.GetOptions{})
				if err == nil && len(s.Status.LoadBalancer.Ingress) == 0 {
					err = errors.New("it has no address")
				}
				return err
			},
		}
	}
	list["create events"] = func(w *world) exercise {
		name := w.name("told")
		return exercise{
			without: "nobody is told by events what was assigned, refused or lost",
			act:     func(ctx context.Context) error { name = w.name("told"); return w.service(ctx, name) },
			done:    func(ctx context.Context) error { return w.told(ctx, name, "AddressAssigned") },
		}
	}
	leases := func(w *world) exercise {
		return exercise{
			without: "it never leads, so nothing is decided",
			// The former leader died some time ago.
			prepare: func(ctx context.Context) error {
				leases := w.Kubernetes.CoordinationV1().Leases(lab.ProductNamespace)
				if err := leases.Delete(ctx, "fairlead-controller", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
					return err
				}
				then := metav1.NewMicroTime(time.Now().Add(-time.Hour))
				_, err := leases.Create(ctx, &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "fairlead-controller"}, Spec: coordinationv1.LeaseSpec{
					HolderIdentity: ptr.To("former"), LeaseDurationSeconds: ptr.To[int32](1), AcquireTime: &then, RenewTime: &then,
				}}, metav1.CreateOptions{})
				return err
			},
			done: func(ctx context.Context) error {
				_, text, err := w.CP.Page(ctx, lab.ControllerHTTPPort, "/metrics")
				return errors.Join(err, contains(text, "\nfairlead_controller_leader 1\n"))
			},
		}
	}
	list["get leases.coordination.k8s.io"], list["update leases.coordination.k8s.io"] = leases, leases
	list["create leases.coordination.k8s.io"] = func(w *world) exercise {
		x := leases(w)
		x.prepare = func(ctx context.Context) error {
			err := w.Kubernetes.CoordinationV1().Leases(lab.ProductNamespace).Delete(ctx, "fairlead-controller", metav1.DeleteOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		}
		return x
	}
	list["create secrets"] = func(w *world) exercise {
		secrets := w.Kubernetes.CoreV1().Secrets(lab.ProductNamespace)
		return exercise{
			without: "there is no gossip key, unless somebody else makes the Secret; speakers' Pods wait for it",
			prepare: func(ctx context.Context) error {
				err := secrets.Delete(ctx, "fairlead-gossip", metav1.DeleteOptions{})
				if apierrors.IsNotFound(err) {
					return nil
				}
				return err
			},
			done: func(ctx context.Context) error {
				_, err := secrets.Get(ctx, "fairlead-gossip", metav1.GetOptions{})
				return err
			},
		}
	}
	for _, kind := range fairleadKinds {
		list["patch "+of(kind)+"/status"] = func(w *world) exercise { return w.standing(kind) }
	}
	return list
}

// standing has the controller write the status of a new object.
func (w *world) standing(kind string) exercise {
	name, api := w.name("new"), w.fairlead.FairleadV1alpha1()
	meta := metav1.ObjectMeta{Name: name}
	var create, remove func(ctx context.Context) error
	var conditions func(ctx context.Context) ([]metav1.Condition, error)
	get, opt, del := metav1.GetOptions{}, metav1.CreateOptions{}, metav1.DeleteOptions{}
	switch kind {
	case "ipaddresspools":
		create = func(ctx context.Context) error {
			_, err := api.IPAddressPools().Create(ctx, &v1alpha1.IPAddressPool{ObjectMeta: meta, Spec: v1alpha1.IPAddressPoolSpec{Addresses: []v1alpha1.AddressRange{"203.0.113.7/32"}}}, opt)
			return err
		}
		remove = func(ctx context.Context) error { return api.IPAddressPools().Delete(ctx, name, del) }
		conditions = func(ctx context.Context) ([]metav1.Condition, error) {
			o, err := api.IPAddressPools().Get(ctx, name, get)
			return o.Status.Conditions, err
		}
	case "l2advertisements":
		create = func(ctx context.Context) error {
			_, err := api.L2Advertisements().Create(ctx, &v1alpha1.L2Advertisement{ObjectMeta: meta, Spec: v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"edge"}}}, opt)
			return err
		}
		remove = func(ctx context.Context) error { return api.L2Advertisements().Delete(ctx, name, del) }
		conditions = func(ctx context.Context) ([]metav1.Condition, error) {
			o, err := api.L2Advertisements().Get(ctx, name, get)
			return o.Status.Conditions, err
		}
	case "bgpadvertisements":
		create = func(ctx context.Context) error {
			_, err := api.BGPAdvertisements().Create(ctx, &v1alpha1.BGPAdvertisement{ObjectMeta: meta}, opt)
			return err
		}
		remove = func(ctx context.Context) error { return api.BGPAdvertisements().Delete(ctx, name, del) }
		conditions = func(ctx context.Context) ([]metav1.Condition, error) {
			o, err := api.BGPAdvertisements().Get(ctx, name, get)
			return o.Status.Conditions, err
		}
	case "bgppeers":
		create = func(ctx context.Context) error { return w.peer(ctx, name, "") }
		remove = func(ctx context.Context) error { return api.BGPPeers().Delete(ctx, name, del) }
		conditions = func(ctx context.Context) ([]metav1.Condition, error) {
			o, err := api.BGPPeers().Get(ctx, name, get)
			return o.Status.Conditions, err
		}
	case "bfdprofiles":
		create = func(ctx context.Context) error {
			_, err := api.BFDProfiles().Create(ctx, &v1alpha1.BFDProfile{ObjectMeta: meta}, opt)
			return err
		}
		remove = func(ctx context.Context) error { return api.BFDProfiles().Delete(ctx, name, del) }
		conditions = func(ctx context.Context) ([]metav1.Condition, error) {
			o, err := api.BFDProfiles().Get(ctx, name, get)
			return o.Status.Conditions, err
		}
	case "communities":
		create = func(ctx context.Context) error {
			return w.Apply(ctx, fmt.Appendf(nil, "apiVersion: fairlead.dev/v1alpha1\nkind: Community\nmetadata: {name: %s}\nspec: {communities: [{name: %[1]s, value: \"65000:1\"}]}\n", name))
		}
		remove = func(ctx context.Context) error { return api.Communities().Delete(ctx, name, del) }
		conditions = func(ctx context.Context) ([]metav1.Condition, error) {
			o, err := api.Communities().Get(ctx, name, get)
			return o.Status.Conditions, err
		}
	}
	return exercise{
		without: "their statuses are empty: how they stand, and what is wrong with them, is not told",
		prepare: create, after: remove,
		done: func(ctx context.Context) error {
			list, err := conditions(ctx)
			if err == nil && len(list) == 0 {
				err = errors.New("its status has no condition")
			}
			return err
		},
	}
}

// peer makes a BGPPeer of a router that there is not, for node1 alone.
func (w *world) peer(ctx context.Context, name, more string) error {
	return w.Apply(ctx, fmt.Appendf(nil, `
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: %s}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 192.0.2.99, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]%s}
`, name, more))
}

// told returns nil if there is an event of a reason about a Service.
func (w *world) told(ctx context.Context, name, reason string) error {
	events, err := w.Kubernetes.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=" + name})
	if err != nil {
		return err
	}
	var seen []string
	for _, e := range events.Items {
		if seen = append(seen, e.Reason); e.Reason == reason {
			return nil
		}
	}
	return fmt.Errorf("of %s there are the events %s", name, strings.Join(seen, ", "))
}

// speakerExercises are, by right, what the speaker of node1 does with it.
func speakerExercises() map[string]newExercise {
	list := map[string]newExercise{}
	notReady := "it is not ready: it takes no part, and announces nothing"
	kinds := map[string]string{"services": notReady, "nodes": notReady, "endpointslices.discovery.k8s.io": notReady}
	for _, k := range fairleadKinds {
		kinds[of(k)] = notReady
	}
	watched(list, func(w *world, ctx context.Context) error { return ready(ctx, w.Node(1).Host, lab.SpeakerHTTPPort) }, kinds)
	speakers := func(w *world) interface {
		Get(context.Context, string, metav1.GetOptions) (*v1alpha1.Speaker, error)
		Delete(context.Context, string, metav1.DeleteOptions) error
	} {
		return w.fairlead.FairleadV1alpha1().Speakers()
	}
	// object has the speaker make and fill its object.
	object := func(without string) newExercise {
		return func(w *world) exercise {
			return exercise{
				without: without,
				prepare: func(ctx context.Context) error {
					if err := speakers(w).Delete(ctx, "node1", metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
						return err
					}
					return nil
				},
				done: func(ctx context.Context) error {
					s, err := speakers(w).Get(ctx, "node1", metav1.GetOptions{})
					if err == nil && s.Status.Version == "" {
						err = errors.New("its status is empty")
					}
					return err
				},
			}
		}
	}
	list["create "+of("speakers")] = object("the node has no Speaker object: what it does is not shown, and the controller does not see its sessions and conflicts")
	list["update "+of("speakers")+"/status"] = object("the node's Speaker object is empty: what it does is not shown, and the controller does not see its sessions and conflicts")
	list["list "+of("speakers")] = object("the node's Speaker object is not written")
	list["watch "+of("speakers")] = func(w *world) exercise {
		return exercise{without: "changes are noticed late: the list is read again, ever more rarely"}
	}
	list["patch "+of("speakers")+"/status"] = func(w *world) exercise {
		second := w.Node(2).Speaker
		return exercise{
			without: "the Speaker object of a node that was lost goes on to say that it serves",
			prepare: func(ctx context.Context) error { return nil },
			act: func(ctx context.Context) error {
				if ready(ctx, w.Node(1).Host, lab.SpeakerHTTPPort) != nil || !second.Running() {
					return nil
				}
				s, err := speakers(w).Get(ctx, "node1", metav1.GetOptions{})
				if err != nil || s.Status.Gossip == nil || s.Status.Gossip.Members < 2 {
					return nil // they do not know each other yet
				}
				return second.Kill()
			},
			done: func(ctx context.Context) error {
				s, err := speakers(w).Get(ctx, "node2", metav1.GetOptions{})
				if err == nil && len(s.Status.Conditions) > 0 && s.Status.Conditions[0].Reason == "Lost" {
					return nil
				}
				return errors.Join(err, errors.New("it does not say that it is lost"))
			},
			after: func(ctx context.Context) error {
				if second.Running() {
					return nil
				}
				return second.Start()
			},
		}
	}
	list["create events"] = func(w *world) exercise {
		var name string
		n := 0
		return exercise{
			without: "nobody is told by events which node answers for an address, and since when; nor of sessions that come and go",
			act: func(ctx context.Context) error {
				if ready(ctx, w.Node(1).Host, lab.SpeakerHTTPPort) != nil {
					return nil
				}
				name, n = w.name("announced"), n+1
				return w.announced(ctx, name, fmt.Sprintf("192.0.2.%d", 230+n%20))
			},
			done: func(ctx context.Context) error { return w.told(ctx, name, "OwnerElected") },
		}
	}
	secret := func(without string, late bool) newExercise {
		return func(w *world) exercise {
			name := w.name("secret")
			x := exercise{
				without: without,
				prepare: func(ctx context.Context) error {
					_, err := w.Kubernetes.CoreV1().Secrets(lab.ProductNamespace).Create(ctx, &corev1.Secret{
						ObjectMeta: metav1.ObjectMeta{Name: name}, Type: corev1.SecretTypeBasicAuth, StringData: map[string]string{"password": "s3cret"},
					}, metav1.CreateOptions{})
					return errors.Join(err, w.peer(ctx, name, ", passwordSecret: {name: "+name+"}"))
				},
				done: func(ctx context.Context) error {
					s, err := speakers(w).Get(ctx, "node1", metav1.GetOptions{})
					if err != nil {
						return err
					}
					for _, b := range s.Status.BGPSessions {
						if b.Peer == name && b.Reason == "" {
							return nil
						} else if b.Peer == name {
							return fmt.Errorf("%s: %s", b.Reason, b.Message)
						}
					}
					return errors.New("there is no session")
				},
				after: func(ctx context.Context) error {
					return w.fairlead.FairleadV1alpha1().BGPPeers().Delete(ctx, name, metav1.DeleteOptions{})
				},
			}
			if late {
				x.done = nil
			}
			return x
		}
	}
	list["list secrets"] = secret("sessions of BGPPeers with `passwordSecret` are not opened, and say so; without such a BGPPeer it is not used", false)
	list["watch secrets"] = secret("a password that changes is noticed late; without a BGPPeer with `passwordSecret` it is not used", true)
	return list
}
