dist_man_MANS += man/mesh-agentd.8 man/mesh-external-agent.7 man/mesh-external-agent.conf.5 man/mesh-join.8 man/meshctl.8
