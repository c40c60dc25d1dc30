"""What an artefact may be made of: operations of a graph, and the layers, keys and words of a Keras configuration.

The least with which dense models answer; what is not here is refused. A policy adds names of its own to `OPS` and
`LAYERS`, but none of `NEVER`: what reads, writes, imports, or runs code out of the artefact. This is a module and no
other kind of file, so that the digest of the gate's code covers it.
"""

import re


def _these(text: str) -> frozenset[str]:
    return frozenset(text.split())


OPS = _these(  # In and out, variables, calls.
    "Placeholder PlaceholderWithDefault Const Identity IdentityN NoOp StopGradient EnsureShape PartitionedCall"
    " StatefulPartitionedCall VarHandleOp ReadVariableOp AssignVariableOp VarIsInitializedOp DisableCopyOnRead"
    # Dense layers, embeddings, what scores are made of.
    " MatMul BatchMatMul BatchMatMulV2 Einsum BiasAdd ResourceGather Gather GatherV2 GatherNd TopKV2 ArgMax"
    " Relu Relu6 LeakyRelu Elu Selu Softplus Softsign Tanh Sigmoid Softmax LogSoftmax Erf"
    # Arithmetic and comparison.
    " Add AddN AddV2 Sub Mul MulNoNan Div DivNoNan RealDiv FloorDiv FloorMod Neg Abs Sign Square SquaredDifference"
    " Sqrt Rsqrt Exp Expm1 Log Log1p Pow Reciprocal Maximum Minimum ClipByValue Mean Sum Max Min Prod All Any Cumsum"
    " Greater GreaterEqual Less LessEqual Equal NotEqual LogicalAnd LogicalNot LogicalOr Select SelectV2 Where"
    # Shapes.
    " Cast Reshape Shape Size Rank Squeeze ExpandDims Transpose Slice StridedSlice Split SplitV ConcatV2 Pack Unpack"
    " Tile BroadcastTo Fill ZerosLike OnesLike Range OneHot Pad PadV2"
    # What TensorFlow's saver makes the name of a shard with. Texts only.
    " StringJoin StaticRegexFullMatch"
)
SAVER = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})
"""They write and read files. Every SavedModel has them, for its own variables; they may be nowhere else in it."""
NEVER = re.compile(
    r"ReadFile|WriteFile|MatchingFiles|Print(V2)?|(Eager)?PyFunc(Stateless)?|PyCall|.*Dataset(V\d+)?|.*Reader(V\d+)?"
    r"|InitializeTable.*|.*HashTable.*|.*Summary.*|Debug.*|Save(Slices|V2)?|Restore(Slice|V2)?|MergeV2Checkpoints"
    r"|ShardedFile.*|Iterator.*|.*Iterator(V\d+)?|Xla.*|.*Host(Compute|Callback).*|Rpc.*|.*Collective.*|RemoteCall"
    r"|.*Send|.*Recv|TPU.*|Load.*|.*Custom.*|SymbolicGradient"
    r"|(.*\.)?(Lambda|TorchModuleWrapper|TFSMLayer|JaxLayer|FlaxLayer|StringLookup|IntegerLookup|TextVectorization"
    r"|HashedCrossing|Hashing|FeatureSpace|Pipeline|MelSpectrogram|function|__\w+__|get_file|load_model)"
)
"""Names that no policy can add."""

LAYERS = frozenset(
    {"keras.Sequential", "keras.Model", "keras.src.models.functional.Functional", "keras.DTypePolicy"}
    | {
        f"keras.layers.{name}"
        for name in _these(
            "InputLayer Dense Embedding Activation ReLU LeakyReLU PReLU ELU Softmax Dropout GaussianNoise"
            " GaussianDropout AlphaDropout ActivityRegularization BatchNormalization LayerNormalization"
            " UnitNormalization Flatten Reshape Permute RepeatVector Masking Concatenate Add Subtract Multiply"
            " Average Maximum Minimum Dot TimeDistributed Bidirectional Wrapper"
        )
    }
    | {
        f"keras.initializers.{name}"
        for name in _these(
            "Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling Orthogonal"
            " Identity GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform"
        )
    }
    | {f"keras.regularizers.{name}" for name in ("L1", "L2", "L1L2")}
    | {f"keras.constraints.{name}" for name in ("MaxNorm", "NonNeg", "UnitNorm", "MinMaxNorm")}
    | {f"keras.optimizers.{name}" for name in _these("SGD Adam AdamW Adamax Nadam RMSprop Adagrad Adadelta Lion")}
)
"""Classes of Keras by module and name. They take numbers and give numbers; none takes a function, a path or a text."""

WORDS: dict[str, frozenset[str]] = {
    "activation": _these(
        "linear relu relu6 leaky_relu elu selu celu gelu silu swish softplus softsign tanh sigmoid"
        " hard_sigmoid softmax log_softmax exponential"
    ),
    "initializer": _these(
        "zeros ones uniform normal random_normal random_uniform truncated_normal variance_scaling"
        " orthogonal identity glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform"
    ),
    "regularizer": frozenset({"l1", "l2", "l1_l2"}),
    "constraint": frozenset({"max_norm", "non_neg", "unit_norm", "min_max_norm"}),
    "dtype": _these(
        "float16 bfloat16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool"
        " mixed_float16 mixed_bfloat16"
    ),
    "loss": _these(
        "mse mean_squared_error mae mean_absolute_error mape msle huber log_cosh hinge squared_hinge"
        " categorical_hinge poisson kl_divergence cosine_similarity binary_crossentropy"
        " categorical_crossentropy sparse_categorical_crossentropy categorical_focal_crossentropy"
    ),
    "metric": _these(
        "mse mean_squared_error mae mean_absolute_error accuracy acc binary_accuracy categorical_accuracy"
        " sparse_categorical_accuracy top_k_categorical_accuracy"
    ),
    "word": _these("fan_in fan_out fan_avg normal uniform truncated_normal untruncated_normal concat sum mul ave")
    | {"auto", "channels_last", "channels_first"},
}
"""What a text may be where Keras looks up a function, a type or a way by it."""

KEYS: dict[str, str] = {
    **dict.fromkeys(("name",), "name"),
    **dict.fromkeys(("dtype", "input_dtype", "output_dtype"), "dtype"),
    **dict.fromkeys(
        _these(
            "trainable use_bias sparse ragged optional center scale rms_scaling mask_zero supports_masking"
            " inverse normalize go_backwards return_sequences return_state stateful unroll renorm amsgrad nesterov"
            " centered use_ema synchronized"
        ),
        "bool",
    ),
    **dict.fromkeys(
        _these(
            "units rate seed epsilon momentum input_dim output_dim alpha negative_slope max_value threshold"
            " stddev n mask_value l1 l2 gain value mean minval maxval input_axes output_axes min_value"
            " learning_rate beta_1 beta_2 rho renorm_momentum weight_decay clipnorm global_clipnorm clipvalue"
            " ema_momentum ema_overwrite_frequency loss_scale_factor gradient_accumulation_steps"
            " initial_accumulator_value input_length lora_rank lora_alpha shared_object_id decay jit_compile"
        ),
        "number",
    ),
    **dict.fromkeys(
        _these(
            "batch_shape batch_input_shape shape input_shape build_input_shape noise_shape axis axes dims"
            " target_shape shared_axes"
        ),
        "numbers",
    ),
    **dict.fromkeys(("activation", "recurrent_activation"), "activation"),
    **dict.fromkeys(
        _these(
            "kernel_initializer bias_initializer embeddings_initializer beta_initializer gamma_initializer"
            " moving_mean_initializer moving_variance_initializer alpha_initializer"
        ),
        "initializer",
    ),
    **dict.fromkeys(
        _these(
            "kernel_regularizer bias_regularizer activity_regularizer embeddings_regularizer beta_regularizer"
            " gamma_regularizer alpha_regularizer"
        ),
        "regularizer",
    ),
    **dict.fromkeys(
        _these(
            "kernel_constraint bias_constraint embeddings_constraint beta_constraint gamma_constraint alpha_constraint"
        ),
        "constraint",
    ),
    **dict.fromkeys(("mode", "distribution", "data_format", "merge_mode"), "word"),
    **dict.fromkeys(("layer", "backward_layer"), "node"),
    "layers": "nodes",
    **dict.fromkeys(("input_layers", "output_layers"), "edges"),
    **dict.fromkeys(("quantization_config", "renorm_clipping"), "nothing"),
}
"""Key of a configuration -> what its value may be. A key that is not here is refused, whatever its value."""
COMPILED: dict[str, str] = {
    **dict.fromkeys(("optimizer", "optimizer_config"), "node"),
    "loss": "loss",
    **dict.fromkeys(("metrics", "weighted_metrics"), "metric"),
    "loss_weights": "numbers",
    **dict.fromkeys(("run_eagerly", "steps_per_execution", "jit_compile", "auto_scale_loss"), "number"),
    "sample_weight_mode": "nothing",
}
CODE = _these(
    "auto_map trust_remote_code custom_pipelines chat_template class_name registered_name __class__"
    " __module__ __reduce__ py/object py/reduce py/function _target_ _partial_ model_config"
)
"""Keys by which readers of JSON find code to run: custom classes, templates, objects to be made."""
