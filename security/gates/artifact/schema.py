"""The messages of a SavedModel (tensorflow/core/protobuf/saved_model.proto and those in it), as of TensorFlow 2.21.

A field is `number:name:kind`, `*` where there may be many. What a model of numbers has no use for is kept as bytes and
named in `REFUSED`, so that a finding can say its name; a field that is not here at all is not known.
"""

from security.engines import wire

_TEXT = """
SavedModel 1:version:int 2:meta_graphs:MetaGraph*
MetaGraph 1:meta_info:MetaInfo 2:graph:Graph 3:saver:Saver 4:collections:Collection* 5:signatures:NamedSignature*
  6:assets:bytes* 7:objects:Objects
MetaInfo 1:meta_graph_version:str 2:stripped_op_list:OpList 3:any_info:bytes 4:tags:str* 5:tensorflow_version:str
  6:tensorflow_git_version:str 7:stripped_default_attrs:int 8:function_aliases:Pair*
Pair 1:key:str 2:value:str
OpList 1:op:OpDef*
OpDef 1:name:str 2:input_arg:ArgDef* 3:output_arg:ArgDef* 4:attr:AttrDef* 5:summary:str 6:description:str
  8:deprecation:Deprecation 16:is_aggregate:int 17:is_stateful:int 18:is_commutative:int
  19:allows_uninitialized_input:int 20:control_output:str* 21:is_distributed_communication:int
Deprecation 1:version:int 2:explanation:str
ArgDef 1:name:str 2:description:str 3:type:int 4:type_attr:str 5:number_attr:str 6:type_list_attr:str
  7:handle_data:TypeShape* 16:is_ref:int 17:full_type:FullType
TypeShape 1:dtype:int 2:shape:Shape
Shape 2:dim:Dim* 3:unknown_rank:int
Dim 1:size:int 2:name:str
FullType 1:type_id:int 2:args:FullType* 3:s:str 4:i:int
AttrDef 1:name:str 2:type:str 3:default_value:Attr 4:description:str 5:has_minimum:int 6:minimum:int
  7:allowed_values:Attr
Attr 1:list:List 2:s:bytes 3:i:int 4:f:f32 5:b:int 6:type:int 7:shape:Shape 8:tensor:Tensor 9:placeholder:str
  10:func:Function
List 2:s:bytes* 3:i:int* 4:f:f32* 5:b:int* 6:type:int* 7:shape:Shape* 8:tensor:Tensor* 9:func:Function*
Tensor 1:dtype:int 2:shape:Shape 3:version_number:int 4:content:bytes 5:float_val:f32* 6:double_val:f64* 7:int_val:int*
  8:string_val:bytes* 9:scomplex_val:f32* 10:int64_val:int* 11:bool_val:int* 12:dcomplex_val:f64* 13:half_val:int*
  14:resource_handle_val:bytes* 15:variant_val:bytes* 16:uint32_val:int* 17:uint64_val:int* 18:float8_val:bytes
Function 1:name:str 2:attr:NamedAttr*
NamedAttr 1:key:str 2:value:Attr
Graph 1:node:Node* 2:library:Library 3:version:int 4:versions:Versions 5:debug_info:bytes
Versions 1:producer:int 2:min_consumer:int 3:bad_consumers:int*
Node 1:name:str 2:op:str 3:input:str* 4:device:str 5:attr:NamedAttr* 6:debug_info:Debug 7:type:FullType
Debug 1:nodes:str* 2:functions:str*
Library 1:function:FunctionDef* 2:gradient:Gradient* 3:registered_gradients:bytes*
FunctionDef 1:signature:OpDef 3:node:Node* 4:ret:Pair* 5:attr:NamedAttr* 6:control_ret:Pair* 7:arg_attr:ArgAttr*
  8:resource_arg_unique_id:NumberPair*
ArgAttr 1:key:int 2:value:ArgAttrs
ArgAttrs 1:attr:NamedAttr*
NumberPair 1:key:int 2:value:int
Gradient 1:function_name:str 2:gradient_func:str
Saver 1:filename:str 2:save:str 3:restore:str 4:max_to_keep:int 5:sharded:int 6:keep_every:f32 7:version:int
Collection 1:key:str 2:value:CollectionDef
CollectionDef 1:node_list:NodeList 2:bytes_list:bytes 3:int64_list:bytes 4:float_list:bytes 5:any_list:bytes
NodeList 1:value:str*
NamedSignature 1:key:str 2:value:Signature
Signature 1:inputs:NamedInfo* 2:outputs:NamedInfo* 3:method_name:str 4:defaults:NamedTensor*
NamedInfo 1:key:str 2:value:Info
NamedTensor 1:key:str 2:value:Tensor
Info 1:name:str 2:dtype:int 3:shape:Shape 4:coo_sparse:bytes 5:composite_tensor:bytes
Objects 1:nodes:Object* 2:concrete_functions:NamedConcrete*
NamedConcrete 1:key:str 2:value:Concrete
Concrete 2:bound_inputs:int* 3:input_signature:Value 4:output_signature:Value
Object 1:children:Child* 3:slot_variables:Slot* 4:user_object:User 5:asset:bytes 6:function:Calls 7:variable:Variable
  8:bare_concrete_function:Bare 9:constant:Constant 10:resource:bytes 11:saveable_objects:Saveable* 12:captured:bytes
  13:registered_name:str 14:serialized_user_proto:bytes 15:dependencies:Child* 16:registered_saver:str
Child 1:node_id:int 2:local_name:str
Slot 1:original_variable_node_id:int 2:slot_name:str 3:slot_variable_node_id:int
User 1:identifier:str 2:version:Versions 3:metadata:str
Calls 1:concrete_functions:str* 2:spec:Spec
Spec 1:fullargspec:Value 2:is_method:int 5:input_signature:Value 6:jit_compile:int
Variable 1:dtype:int 2:shape:Shape 3:trainable:int 4:synchronization:int 5:aggregation:int 6:name:str 7:device:str
  8:components:Variable*
Bare 1:concrete_function_name:str 2:argument_keywords:str* 3:allowed_positional_arguments:int 4:spec:Spec
Constant 1:operation:str
Saveable 1:key:str 2:value:SaveableObject
SaveableObject 2:save_function:int 3:restore_function:int
Value 1:none_value:None 11:float64_value:f64 12:int64_value:int 13:string_value:str 14:bool_value:int
  31:tensor_shape_value:Shape 32:tensor_dtype_value:int 33:tensor_spec_value:TensorSpec 34:type_spec_value:bytes
  35:bounded_tensor_spec_value:Bounded 51:list_value:Values 52:tuple_value:Values 53:dict_value:Dict
  54:named_tuple_value:Named 55:tensor_value:Tensor 56:numpy_value:Tensor
None
TensorSpec 1:name:str 2:shape:Shape 3:dtype:int
Bounded 1:name:str 2:shape:Shape 3:dtype:int 4:minimum:Tensor 5:maximum:Tensor
Values 1:values:Value*
Dict 1:fields:NamedValue*
Named 1:name:str 2:values:NamedValue*
NamedValue 1:key:str 2:value:Value
Saved 1:nodes:SavedNode*
SavedNode 1:children:Child* 2:attributes:SavedTensor* 3:slot_variables:Slot* 4:registered_saver:bytes 5:has_values:Flag
SavedTensor 1:name:str 2:full_name:str 3:checkpoint_key:str
Flag 1:value:int
Fingerprint 1:saved_model_checksum:int 2:graph_def_program_hash:int 3:signature_def_hash:int
  4:saved_object_graph_hash:int 5:checkpoint_hash:int 6:version:Versions 7:uuid:str
"""
SAVED = wire.schema(_TEXT.replace("\n  ", " "))
REFUSED = {
    ("MetaGraph", "assets"): "a file beside the graph that it opens",
    ("MetaInfo", "any_info"): "a message of any kind",
    ("Graph", "debug_info"): "paths of whoever made it",
    ("Library", "registered_gradients"): "a gradient by the name of what somebody registered",
    ("Tensor", "resource_handle_val"): "a handle to a resource",
    ("Tensor", "variant_val"): "an object that is made by the name of its type",
    ("CollectionDef", "bytes_list"): "a collection of messages",
    ("CollectionDef", "any_list"): "a collection of messages",
    ("Object", "asset"): "a file beside the graph that it opens",
    ("Object", "resource"): "a resource that is made when it is loaded",
    ("Object", "captured"): "a tensor out of another function",
    ("Object", "registered_name"): "a class by the name of what somebody registered",
    ("Object", "registered_saver"): "a saver by the name of what somebody registered",
    ("Object", "serialized_user_proto"): "a message for a class that somebody registered",
    ("SavedNode", "registered_saver"): "a saver by the name of what somebody registered",
    ("User", "metadata"): "a configuration from which a loader makes layers",
    ("Info", "composite_tensor"): "a type by the name of what somebody registered",
    ("Value", "type_spec_value"): "a type by the name of what somebody registered",
}
"""Message and field -> what a loader would do with it."""
OBJECTS = frozenset(
    {"_generic_user_object", "signature_map", "trackable_list_wrapper", "trackable_dict_wrapper"}
    | {"trackable_tuple_wrapper", ""}
)
"""Kinds of objects of which a loader makes nothing but a list of their parts."""
